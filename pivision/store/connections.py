"""The connections of one process to the database: one for each thread, and one that outlives them.

They belong to the file that was there when the first was opened. Before each statement and after each commit, two calls
of stat(2) tell whether the file and its -wal are still those: what is written into a file that has been deleted or
replaced is lost, and nobody must be told that it is stored.
"""

import collections
import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw

from pivision.errors import DatabaseBusy, DatabaseUnusable, StorageFull, TaskNotFound
from pivision.store import copies, failures, queries, rows, schema, soundness

_QUERIES = queries.load()
_PAUSE_SECONDS = 0.05  # before what could not be read is read again


class Connections:
    """The connections to `file`, which is made if it is missing."""

    def __init__(self, file: Path, timeout_seconds: float) -> None:
        self._file = file
        self._wal = file.with_name(file.name + "-wal")
        self._timeout_seconds = timeout_seconds
        self._write_lock = threading.RLock()  # re-entered by the statements of `Store.together`
        self._of_thread = threading.local()
        self._unreadable: collections.Counter[str] = collections.Counter()  # in a row, by statement in a transaction
        self.damaged = threading.Event()
        self.damage = ""  # what is wrong, once `damaged` is set
        with self._errors():
            schema.prepare(file, timeout_seconds)
            self._keeper = schema.connect(file, timeout_seconds)  # while it is open, SQLite keeps the -wal
            self._keeper.pragma("user_version")
        self._identities = self._look()

    def read(self, query: str, parameters: dict[str, object]) -> list[rows.Row]:
        """The rows of a statement that only reads."""
        with self._errors():
            self.verify()
            return self._rows(query, parameters)

    def write(self, query: str, parameters: dict[str, object]) -> list[rows.Row]:
        """The rows of a statement that writes. Outside a transaction they are durable when this returns."""
        with self.writing():
            if not self.is_in_transaction():
                self.verify()
            found = self._rows(query, parameters)
            if not self.is_in_transaction():
                self.verify()
            return found

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one thread of this process that writes. Raises DatabaseBusy."""
        if not self._write_lock.acquire(timeout=self._timeout_seconds):
            raise DatabaseBusy("other requests have been writing for too long")
        try:
            with self._errors():
                yield
        finally:
            self._write_lock.release()

    def is_in_transaction(self) -> bool:
        """Whether this thread has begun a transaction and not ended it."""
        connection: apsw.Connection | None = getattr(self._of_thread, "connection", None)
        return connection is not None and connection.in_transaction

    def verify(self) -> None:
        """Raise DatabaseUnusable if the file that is open is no longer the one that is there."""
        try:
            there = self._look()
        except (FileNotFoundError, NotADirectoryError):
            there = None
        except OSError as error:
            raise failures.of_disk(error) from None
        if there != self._identities:
            self.declare_damaged("the file or its -wal was deleted or replaced while it was in use")
            raise DatabaseUnusable(f"{self._file}: {self.damage}")

    def declare_damaged(self, what: str) -> None:
        """Let everybody who waits for `damaged` know that this database must be looked at."""
        if not self.damaged.is_set():
            self.damage = what
            self.damaged.set()

    def copy(self, target: Path) -> None:
        """Write a consistent copy to `target`. On a connection of its own: it may take long."""
        with self._errors(), contextlib.closing(schema.connect(self._file, self._timeout_seconds)) as connection:
            self.verify()
            copies.copy(connection, target)

    def check(self) -> None:
        """Read and compare everything. Raises DatabaseUnusable, and sets `damaged`, if something is wrong."""
        with self._errors(), contextlib.closing(schema.connect(self._file, self._timeout_seconds)) as connection:
            self.verify()
            if (fault := soundness.fault_of(connection, self._file)) is not None:
                self.declare_damaged(fault)
                raise DatabaseUnusable(f"{self._file}: {fault}")

    def rescue(self, target: Path, limit_bytes: int) -> bool:
        """Save what the open file holds after it, or its -wal, was deleted or replaced.

        Where only the -wal is gone, it is written back into the file; else a copy goes to `target`, and this is True.
        Raises StorageFull for more than `limit_bytes`.
        """
        with self._errors():
            if _is_at(self._file, self._identities[0]) and (self._wal.exists() or self._write_back()):
                return False
            size_bytes = self._keeper.pragma("page_count") * self._keeper.pragma("page_size")
            if size_bytes > limit_bytes:
                raise StorageFull(f"the {size_bytes} bytes of {self._file} are too many to be saved at {target}")
            copies.copy(self._keeper, target)
        return True

    def _write_back(self) -> bool:
        """Whether all that is in the deleted -wal is in the database now."""
        frames, written_back = self._keeper.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_FULL)
        return bool(frames == written_back)

    def _look(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return _identity(self._file), _identity(self._wal)

    def _rows(self, query: str, parameters: dict[str, Any]) -> list[rows.Row]:
        """Run a statement. What cannot be read is tried again on a new connection before it counts as damage.

        An error of reading the schema comes as a damaged one. Within a transaction it is the caller who tries again.
        """
        for attempt in range(1, failures.READ_ATTEMPTS + 1):
            is_alone = not self.is_in_transaction()
            try:
                found = list(
                    self._connection().execute(_QUERIES[query], parameters)
                )  # to the last row: then it commits
                self._unreadable.pop(query, None)
                return found
            except apsw.SQLError as error:
                if not str(error).startswith("no such "):
                    raise
                self.declare_damaged(str(error))  # the tables were there: a file cut to zero bytes is an empty database
                raise DatabaseUnusable(f"{self._file}: {error}") from error
            except apsw.Error as error:
                if not failures.is_damage(error):
                    raise
                if not is_alone:
                    self._unreadable[query] += 1
                    if self._unreadable[query] < failures.READ_ATTEMPTS:
                        raise DatabaseUnusable(f"{self._file}: {error}") from None  # not damaged yet
                if not is_alone or attempt == failures.READ_ATTEMPTS:
                    raise
            self._of_thread.connection = None
            time.sleep(_PAUSE_SECONDS)
        raise AssertionError("the last attempt returns or raises")

    def _connection(self) -> apsw.Connection:
        connection: apsw.Connection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = schema.connect(self._file, self._timeout_seconds)
            connection.row_trace = rows.as_dict
        return connection

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with failures.translated(self._file):
                yield
        except OverflowError:
            raise TaskNotFound("no task has an id as large as this") from None
        except DatabaseUnusable as error:
            self._of_thread.connection = None  # look at the file afresh next time: it may have been mended
            if failures.is_damage(error.__cause__):
                self.declare_damaged(str(error.__cause__))
            raise


def _identity(file: Path) -> tuple[int, int]:
    found = os.stat(file)  # noqa: PTH116  # half the time of Path.stat, and this is before every statement
    return found.st_dev, found.st_ino


def _is_at(file: Path, identity: tuple[int, int]) -> bool:
    """Raises OSError where nobody can tell just now."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return _identity(file) == identity
    return False
