"""Whether a database file is sound: ours, whole, and with the schema that its version says."""

import contextlib
import errno
import time
from pathlib import Path

import apsw

from pivision.errors import DatabaseUnusable
from pivision.store import failures, schema

_UNREAD = "unable to get the page"  # as integrity_check says
_PAUSE_SECONDS = 0.2
_MAGIC = b"SQLite format 3\0"


def fault(file: Path) -> str | None:
    """What is wrong with the file; None if it is sound. Nobody else may have it open, and it is not changed.

    Every page is read, and every index is compared with its table. What cannot be read is tried again before it counts
    as damaged. Raises DatabaseBusy, DatabaseUnusable or StorageFull for what says nothing about the file itself: a
    missing permission, a lock, a newer PiVision's schema.
    """
    for attempt in range(1, failures.READ_ATTEMPTS + 1):
        found, may_be_unread = _look(file)
        if not may_be_unread or attempt == failures.READ_ATTEMPTS:
            break
        time.sleep(_PAUSE_SECONDS)
    return found


def _look(file: Path) -> tuple[str | None, bool]:
    """What is wrong with the file, and whether that may be because a part of it could not be read just now."""
    try:
        if (found := _fault_of_header(file)) is not None:
            return found, False
        with failures.translated(file), contextlib.closing(_opened(file)) as connection:
            found = fault_of(connection, file)
            return found, found is not None and _UNREAD in found
    except DatabaseUnusable as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno == errno.EIO:
            return "its first sector cannot be read", True
        if not failures.is_damage(cause):
            raise
        return f"it is damaged: {cause}", True  # an error of reading the schema comes as a damaged one


def fault_of(connection: apsw.Connection, file: Path) -> str | None:
    """The same for a database that is open. Raises what SQLite raises, and DatabaseUnusable for a newer schema."""
    if connection.pragma("application_id") != schema.APPLICATION_ID:
        return "it is not a PiVision database"
    connection.pragma("cell_size_check", True)
    version = connection.pragma("user_version")
    try:
        ((problem,),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
        found = objects(connection)
    except (apsw.SQLError, UnicodeDecodeError) as error:  # by what stands in the schema: in a name, or no text at all
        return f"it is damaged: its schema cannot be read: {error}"
    if problem != "ok":
        return f"it is damaged: {problem}"
    if found == schema_objects(version):
        return None
    if version > schema.newest() and found != schema_objects(schema.newest()):
        raise DatabaseUnusable(f"{file} was made by a newer PiVision (schema {version}, known: {schema.newest()})")
    return f"it is damaged: its tables are not those of schema {version}"


def schema_objects(version: int) -> set[tuple[str, str]]:
    """The tables and indexes of this version of the schema; empty for one that is not known."""
    with contextlib.closing(apsw.Connection(":memory:")) as connection:
        if 0 < version <= schema.newest():
            schema.apply(connection, 0, version)
        return objects(connection)


def objects(connection: apsw.Connection) -> set[tuple[str, str]]:
    """The tables, indexes and triggers of an open database."""
    return set(connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))


def _opened(file: Path) -> apsw.Connection:
    """With its -wal, which is not written back when it is closed: this is a look and no more."""
    connection = schema.distrusted(apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE))
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def _fault_of_header(file: Path) -> str | None:
    """What SQLite would take for an empty database, or for none: it is told apart here."""
    if file.is_dir():
        return "a folder is in its place"
    try:
        with file.open("rb") as content:
            magic = content.read(len(_MAGIC))
    except OSError as error:
        raise failures.of_disk(error) from error
    if not magic:
        return "it is empty"
    return None if magic == _MAGIC else "it is no SQLite database"
