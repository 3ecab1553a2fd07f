"""One appliance for each data folder and each run folder: a lock, and in its file where the appliance answers.

supervisord inherits the locks, and the kernel releases them when it ends, however it ends. Its programs do not have
them: supervisord closes its descriptors in each child. Standard library only.
"""

import contextlib
import fcntl
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

from pivision.errors import ApplianceRunning

FILE = "appliance.lock"
DESCRIPTORS = (3, 4)
"""Where supervisord has the locks of the data and the run folder: below 5, it keeps them when it is reloaded."""

_PATIENCE_SECONDS = 1.0  # a command that looks whether the lock is held has it for a moment
_PAUSE_SECONDS = 0.05


class Instance(NamedTuple):
    """A running appliance."""

    pid: int  # of its supervisord
    url: str  # where this machine reaches it
    settings: dict[str, str]  # those that say where it is, by their names

    def __str__(self) -> str:
        return f"runs already, at {self.url} (pid {self.pid}, data in {self.settings.get('data_dir', '?')})"


def hold(folder: Path, instance: Instance) -> int:
    """Take the lock of `folder`, write `instance` into it, and return its descriptor, to be kept open.

    Raises ApplianceRunning, which names the holder, and OSError.
    """
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while (descriptor := _try_hold(folder / FILE)) is None:
        if time.monotonic() >= give_up:
            holder = running(folder)
            raise ApplianceRunning(str(holder) if holder else f"another appliance holds {folder / FILE}")
        time.sleep(_PAUSE_SECONDS)
    with contextlib.suppress(OSError):  # on a full disk the lock counts all the same
        os.ftruncate(descriptor, os.pwrite(descriptor, json.dumps(instance._asdict()).encode(), 0))
    return descriptor


def running(folder: Path) -> Instance | None:
    """Return the appliance that holds the lock of `folder`, or None. Raises OSError when that cannot be known."""
    try:
        descriptor = os.open(folder / FILE, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return noted(descriptor)
    finally:
        os.close(descriptor)
    return None


def noted(descriptor: int) -> Instance:
    """Return what the holder of a lock has written into it; it may be just about to."""
    try:
        written = json.loads(os.pread(descriptor, 65536, 0))
        return Instance(int(written["pid"]), str(written["url"]), dict(written["settings"]))
    except (ValueError, KeyError, TypeError):
        return Instance(0, "an address that it has not written down yet", {})


def is_in_place(descriptor: int, folder: Path) -> bool:
    """Whether `descriptor` is the lock that others find in `folder`; somebody may have deleted it."""
    try:
        found = (folder / FILE).stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))


def _try_hold(file: Path) -> int | None:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_in_place(descriptor, file.parent):
            return descriptor
    os.close(descriptor)
    return None
