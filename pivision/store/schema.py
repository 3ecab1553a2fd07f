"""The database file: made whole or not at all, recognised as ours, brought up to the newest schema."""

import contextlib
import os
from importlib import resources
from pathlib import Path

import apsw

from pivision import program
from pivision.errors import DatabaseUnusable

APPLICATION_ID = 0x50695673  # "PiVs", the mark in the file's header by which it is known


def prepare(file: Path, timeout_seconds: float) -> None:
    """Make the database if there is none, and apply the migrations that it lacks.

    Raises DatabaseUnusable for a file that is not ours, zero bytes included: PiVision never adopts one.
    """
    if not file.exists():
        _create(file)
    with contextlib.closing(connect(file, timeout_seconds)) as connection:
        if connection.pragma("application_id") != APPLICATION_ID:
            raise DatabaseUnusable(f"{file} is not a PiVision database")
        _migrate(connection, file)


def connect(file: Path, timeout_seconds: float) -> apsw.Connection:
    """Open a database that is there. FULL: a commit is on the disk before anybody is told of it."""
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(int(timeout_seconds * 1000))
    connection.pragma("synchronous", "FULL")
    return connection


def _create(file: Path) -> None:
    """Under another name first: a process killed in between must not leave a file that is refused ever after."""
    program.make_private_folder(file.parent)
    new = file.with_suffix(f".{os.getpid()}.new")
    new.unlink(missing_ok=True)
    with contextlib.closing(apsw.Connection(str(new))) as connection:
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("journal_mode", "WAL")
        _migrate(connection, new)
    try:
        with contextlib.suppress(FileExistsError):  # another program was faster
            os.link(new, file)
    finally:
        new.unlink()
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _migrate(connection: apsw.Connection, file: Path) -> None:
    scripts = sorted(resources.files(__package__).joinpath("migrations").iterdir(), key=lambda script: script.name)
    if connection.pragma("user_version") == len(scripts):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.pragma("user_version")
        if version > len(scripts):
            raise DatabaseUnusable(f"{file} was made by a newer PiVision (schema {version}, known: {len(scripts)})")
        for script in scripts[version:]:
            connection.execute(script.read_text(encoding="utf-8"))
        connection.pragma("user_version", len(scripts))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
