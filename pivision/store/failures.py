"""What SQLite and the disk raise, told in our errors; and which of it means that the file itself is damaged."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

import apsw

from pivision.errors import DatabaseBusy, DatabaseUnusable, PiVisionError, StorageFull

_BUSY = (apsw.BusyError, apsw.LockedError)
_UNUSABLE = (
    apsw.NotADBError,
    apsw.CorruptError,
    apsw.CantOpenError,
    apsw.IOError,
    apsw.ReadOnlyError,
    apsw.PermissionsError,
)
_UNREADABLE = {apsw.SQLITE_IOERR_READ, apsw.SQLITE_IOERR_SHORT_READ, apsw.SQLITE_IOERR_CORRUPTFS}


READ_ATTEMPTS = 3
"""How often a sector must not be readable until that counts as damage: once may pass by itself."""


def is_unreadable(error: BaseException | None) -> bool:
    """Whether a part of the file cannot be read, for now or for good."""
    return isinstance(error, apsw.IOError) and getattr(error, "extendedresult", None) in _UNREADABLE


def is_damage(error: BaseException | None) -> bool:
    """Whether the file is damaged, a sector that cannot be read included.

    Everything else may pass by itself: a lock, a missing permission, a disk that is full or read-only.
    """
    return is_unreadable(error) or isinstance(error, apsw.NotADBError | apsw.CorruptError)


@contextlib.contextmanager
def translated(file: Path) -> Iterator[None]:
    """Let the block raise DatabaseBusy, StorageFull and DatabaseUnusable instead."""
    try:
        yield
    except _BUSY:
        raise DatabaseBusy(f"{file} is locked by another process") from None
    except apsw.FullError:
        raise StorageFull(f"{file} cannot grow: the disk is full") from None
    except _UNUSABLE as error:
        raise DatabaseUnusable(f"{file}: {error}") from error


@contextlib.contextmanager
def of_the_disk() -> Iterator[None]:
    """Let the block raise StorageFull or DatabaseUnusable instead of OSError."""
    try:
        yield
    except OSError as error:
        raise of_disk(error) from error


def of_disk(error: OSError) -> PiVisionError:
    """The error of ours for one of the operating system."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(f"{error.filename or 'the data folder'}: {error.strerror}")
    return DatabaseUnusable(f"{error.filename or 'the data folder'} is out of reach: {error.strerror}")
