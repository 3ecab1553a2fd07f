"""The database file: made whole or not at all, recognised as ours, brought up to the newest schema."""

import contextlib
import os
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import apsw

from pivision import program
from pivision.errors import DatabaseUnusable

APPLICATION_ID = 0x50695673  # "PiVs", the mark in the file's header by which it is known


def prepare(file: Path, timeout_seconds: float) -> None:
    """Make the database if there is none, and apply the migrations that it lacks.

    Raises DatabaseUnusable for a file that is not ours, zero bytes included: PiVision never adopts one.
    """
    if program.is_gone(file):
        _create(file)
    with contextlib.closing(connect(file, timeout_seconds)) as connection:
        if connection.pragma("application_id") != APPLICATION_ID:
            raise DatabaseUnusable(f"{file} is not a PiVision database")
        connection.pragma("journal_mode", "WAL")  # a copy that was put here has none
        _migrate(connection)


def connect(file: Path, timeout_seconds: float) -> apsw.Connection:
    """Open a database that is there. FULL: a commit is on the disk before anybody is told of it."""
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(int(timeout_seconds * 1000))
        connection.pragma("synchronous", "FULL")
    except BaseException:  # of a damaged file: its -wal and -shm are not to stay for as long as the error is kept
        connection.close()
        raise
    return connection


def distrusted(connection: apsw.Connection) -> apsw.Connection:
    """Let nothing that stands in the file run: no trigger, no view, no function that could reach outside of it."""
    for option, value in (
        (apsw.SQLITE_DBCONFIG_DEFENSIVE, 1),
        (apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
        (apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0),
        (apsw.SQLITE_DBCONFIG_ENABLE_VIEW, 0),
    ):
        connection.config(option, value)
    return connection


def _create(file: Path) -> None:
    """Under another name first: a process killed in between must not leave a file that is refused ever after."""
    program.make_private_folder(file.parent)
    new = file.with_suffix(f".{os.getpid()}.new")
    new.unlink(missing_ok=True)
    with contextlib.closing(apsw.Connection(str(new))) as connection:
        create(connection)
    try:
        with contextlib.suppress(FileExistsError):  # another program was faster
            os.link(new, file)
    finally:
        new.unlink()
    program.fsync_folder(file.parent)


def newest() -> int:
    """The version of the schema that this program knows."""
    return len(_scripts())


def apply(connection: apsw.Connection, version: int, to: int) -> None:
    """Bring a database from one version of the schema to a later one."""
    for script in _scripts()[version:to]:
        connection.execute(script.read_text(encoding="utf-8"))
    connection.pragma("user_version", to)


def create(connection: apsw.Connection) -> None:
    """Make an empty database of a new file: marked as ours, with the newest schema."""
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("journal_mode", "WAL")
    _migrate(connection)


def _scripts() -> list[Traversable]:
    return sorted(resources.files(__package__).joinpath("migrations").iterdir(), key=lambda script: script.name)


def _migrate(connection: apsw.Connection) -> None:
    if connection.pragma("user_version") == newest():
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.pragma("user_version")
        if version > newest():
            raise DatabaseUnusable(
                f"{connection.filename} was made by a newer PiVision (schema {version}, known: {newest()})"
            )
        apply(connection, version, newest())
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
