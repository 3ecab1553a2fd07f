"""Whole copies of a database that is in use."""

import contextlib
import os
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import apsw

from pivision.store import schema

_STEP_PAGES = 256
"""Copied and flushed at once: 1 MB. Whoever commits meanwhile waits for that much, and not for the whole copy."""


def copy(source: apsw.Connection, target: Path) -> None:
    """Write what `source` sees now to `target`, which is replaced; durable when this returns.

    One snapshot, however long it takes: neither readers nor writers wait for it, and what they write is not in it.
    """
    target.unlink(missing_ok=True)
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with contextlib.closing(apsw.Connection(str(target))) as destination:
            destination.pragma("journal_mode", "OFF")  # a copy that is not finished is thrown away
            destination.pragma("synchronous", "OFF")
            with _one_snapshot(source), destination.backup("main", source, "main") as backup:
                while not backup.done:
                    backup.step(_STEP_PAGES)
                    os.fdatasync(descriptor)
            destination.pragma("journal_mode", "DELETE")  # one file, without a -wal beside it
        os.fsync(descriptor)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def opened(file: Path) -> apsw.Connection:
    """Open a copy to read it: without locks, and without making a file beside it."""
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(f"file:{urllib.parse.quote(str(file))}?immutable=1", flags=flags)
    return schema.distrusted(connection)


@contextlib.contextmanager
def _one_snapshot(source: apsw.Connection) -> Iterator[None]:
    source.execute("BEGIN")
    try:
        source.pragma("user_version")  # only what is read begins the snapshot
        yield
    finally:
        source.execute("ROLLBACK")
