"""How far a database has come: tells which of two copies is the newer one, without asking the wall clock."""

from typing import NamedTuple

import apsw
import msgspec

from pivision.store import queries

_QUERY = queries.load()["fingerprint"]


class Fingerprint(NamedTuple):
    """What differs between two states of one database. Compares as older and newer."""

    running_seconds: int  # by appliance_clock, which goes on once a minute
    last_id: int  # the largest id that was ever given
    last_end_seconds: int | None  # when a task finished last, by appliance_clock
    tasks: str | None  # how many there are in each state

    def is_same_work(self, other: "Fingerprint") -> bool:
        """Whether nothing but time has passed between the two."""
        return self[1:] == other[1:]


def of(connection: apsw.Connection) -> Fingerprint:
    """The fingerprint of an open database. Raises what SQLite and msgspec.convert raise."""
    (row,) = connection.execute(_QUERY).fetchall()
    return msgspec.convert(row, Fingerprint)
