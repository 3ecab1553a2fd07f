"""What can still be read of a database, damaged or not."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import apsw
import msgspec

from pivision.errors import DatabaseUnusable
from pivision.store import failures, fingerprint, queries, rows, schema, soundness
from pivision.store.fingerprint import Fingerprint

_QUERIES = queries.load("recovery.sql")
_CHUNK_ROWS = 64
_ROW_LIMIT_BYTES = 16 << 20  # a row that is longer cannot be read: no result of ours is
_BLIND_IDS = 1_000_000  # looked for one by one behind a damaged page, before there is nothing behind it
_GUESSED_IDS = 100_000  # where nothing tells how many there were
_PASSING = (
    apsw.BusyError,
    apsw.LockedError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.PermissionsError,
    apsw.FullError,
)


class Source(NamedTuple):
    """A database file that rows can be taken from."""

    name: str  # database, rescue or backup
    file: Path
    is_sound: bool
    fingerprint: Fingerprint | None  # None where even that cannot be read


def source(name: str, file: Path) -> Source:
    """Look at a file. Raises DatabaseBusy, DatabaseUnusable and StorageFull for what may pass by itself."""
    is_sound = soundness.fault(file) is None
    found: Fingerprint | None = None
    with _whatever_is_damaged(), contextlib.closing(opened(file)) as connection:
        found = fingerprint.of(connection)
    return Source(name, file, is_sound, found)


def opened(file: Path) -> apsw.Connection:
    """Open a file that nobody else has open, with its -wal, to read it; closing it does not write the -wal back."""
    connection = schema.distrusted(apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE))
    connection.limit(apsw.SQLITE_LIMIT_LENGTH, _ROW_LIMIT_BYTES)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def all_rows(file: Path, known_ids: int, unreadable: set[int]) -> Iterator[rows.Row]:
    """Every row that can be read, by its id; ids whose rows cannot be read are added to `unreadable`.

    `known_ids` says how far ids go at least, so that the search goes on behind a damaged page.
    """
    with _whatever_is_damaged(), contextlib.closing(opened(file)) as connection:
        connection.row_trace = rows.as_dict
        limit, after, blind = max(known_ids, last_id(file)) or _GUESSED_IDS, 0, 0
        while after < limit and blind < _BLIND_IDS:
            chunk: list[rows.Row] = []
            try:
                chunk = list(connection.execute(_QUERIES["rows_after"], {"id": after, "limit": _CHUNK_ROWS}))
                is_whole = _is_ascending([after, *(row["id"] for row in chunk)], limit)
            except (apsw.NotADBError, apsw.SQLError):  # nothing of ours at all
                return
            except (apsw.Error, UnicodeDecodeError) as error:
                _require_damage(error)
                is_whole = False
            if is_whole and not chunk:
                return
            if is_whole:
                after, blind = chunk[-1]["id"], 0
            else:
                ids = _ids_after(connection, after, limit)
                chunk = _one_by_one(connection, ids, unreadable)
                blind = 0 if chunk else blind + len(ids)
                after = ids[-1]
            yield from chunk


def last_id(file: Path) -> int:
    """The largest id that this database is known to have given; 0 if it does not tell."""
    largest = 0
    for query in ("last_id", "largest_id"):
        with _whatever_is_damaged(), contextlib.closing(opened(file)) as connection:
            ((found,),) = connection.execute(_QUERIES[query]).fetchall()
            if isinstance(found, int) and largest < found <= rows.LARGEST_ID:
                largest = found
    return largest


def count_beyond(file: Path) -> int:
    """How many rows have an id that no PiVision gives."""
    found = 0
    with _whatever_is_damaged(), contextlib.closing(opened(file)) as connection:
        ((count,),) = connection.execute(_QUERIES["beyond"], {"largest_id": rows.LARGEST_ID}).fetchall()
        if isinstance(count, int):
            found = count
    return found


def newest_change(file: Path) -> int:
    """The last number that this database has given to a change; 0 if it does not tell."""
    newest = 0
    with _whatever_is_damaged(), contextlib.closing(opened(file)) as connection:
        ((found,),) = connection.execute(_QUERIES["newest_change"]).fetchall()
        if isinstance(found, int) and 0 < found <= rows.LARGEST_ID:
            newest = found
    return newest


def clock(file: Path) -> dict[str, object] | None:
    """The row of the appliance's clock."""
    found: dict[str, object] | None = None
    with _whatever_is_damaged(), contextlib.closing(opened(file)) as connection:
        connection.row_trace = rows.as_dict
        found = next(iter(connection.execute(_QUERIES["clock"])), None)
    return found


def images(file: Path) -> set[str]:
    """The images that the tasks of a sound database have, and what was drawn on them."""
    with contextlib.closing(opened(file)) as connection:
        return {sha256 for (sha256,) in connection.execute(_QUERIES["images"])}


def row(connection: apsw.Connection, task_id: int) -> rows.Row | None:
    """One row of a database that was opened with `opened`; None if it is not there or cannot be read."""
    found: rows.Row | None = None
    with _whatever_is_damaged():
        connection.row_trace = rows.as_dict
        found = next(iter(connection.execute(_QUERIES["row"], {"id": task_id})), None)
    return found


def _ids_after(connection: apsw.Connection, after: int, limit: int) -> Sequence[int]:
    """The next ids that have a row, where at least that can be read; else the next ones, with a row or not."""
    with contextlib.suppress(apsw.Error):
        found = [row["id"] for row in connection.execute(_QUERIES["ids_after"], {"id": after, "limit": _CHUNK_ROWS})]
        if found and _is_ascending([after, *found], limit):
            return found
    return range(after + 1, min(after + _CHUNK_ROWS, limit) + 1)


def _one_by_one(connection: apsw.Connection, ids: Sequence[int], unreadable: set[int]) -> list[rows.Row]:
    found = []
    for task_id in ids:
        for attempt in range(1, failures.READ_ATTEMPTS + 1):
            try:
                found += list(connection.execute(_QUERIES["row"], {"id": task_id}))
                break
            except (apsw.Error, UnicodeDecodeError) as error:
                _require_damage(error)
                if attempt == failures.READ_ATTEMPTS or not failures.is_unreadable(error):
                    unreadable.add(task_id)
                    break
    return found


def _is_ascending(ids: list[object], limit: int) -> bool:
    return all(
        isinstance(one, int) and isinstance(next_, int) and one < next_ <= limit
        for one, next_ in itertools.pairwise(ids)
    )


@contextlib.contextmanager
def _whatever_is_damaged() -> Iterator[None]:
    """Let the block end where the file cannot be read on."""
    try:
        yield
    except (apsw.Error, UnicodeDecodeError, msgspec.ValidationError) as error:
        _require_damage(error)


def _require_damage(error: Exception) -> None:
    """Raise what may pass by itself: what could be read tomorrow must not be given up today."""
    if isinstance(error, _PASSING) or (isinstance(error, apsw.IOError) and not failures.is_damage(error)):
        raise DatabaseUnusable(str(error)) from error
