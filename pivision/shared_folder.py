"""Folders of files that several processes use: locks of them, and what the disk refuses, as errors of ours."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from pivision.errors import DatabaseBusy, ImageLost, PiVisionError, StorageFull, StorageUnavailable

_LOCK_TIMEOUT_SECONDS = 5.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR)  # there is no image: nothing, a link, a folder


@contextlib.contextmanager
def locked(folder: Path, kind: int, timeout_seconds: float = _LOCK_TIMEOUT_SECONDS) -> Iterator[int]:
    """Hold flock on `folder` and yield its descriptor. The kernel lets go of it when this process dies.

    Raises BlockingIOError at once when no wait was allowed, else DatabaseBusy when the wait was in vain, and
    StorageUnavailable.
    """
    with errors():
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        give_up = time.monotonic() + timeout_seconds
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not timeout_seconds:
                    raise
                if time.monotonic() >= give_up:
                    raise DatabaseBusy(f"{folder} is locked by another process") from None
                time.sleep(0.005)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def errors() -> Iterator[None]:
    """Let the block raise StorageFull or StorageUnavailable instead of OSError."""
    try:
        yield
    except OSError as error:
        raise _of_disk(error, error.filename or "the folder of the images") from error


@contextlib.contextmanager
def reading(sha256: str) -> Iterator[None]:
    """Let the block raise ImageLost where there is no such file: everything else may pass by itself."""
    try:
        yield
    except OSError as error:
        about = f"image {sha256[:12]}…"
        raise (ImageLost(f"{about}: {error.strerror}") if error.errno in _GONE else _of_disk(error, about)) from error


def _of_disk(error: OSError, about: object) -> PiVisionError:
    return (StorageFull if error.errno in _FULL else StorageUnavailable)(f"{about}: {error.strerror}")
