"""What every program does first: end with its supervisord, write its log lines alike, keep its folders to itself.

Standard library only, so that the smallest program stays small.
"""

import ctypes
import logging
import os
import signal
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


PARENT = "PIVISION_PARENT"
"""The variable with the pid of the process that starts a program."""


def begin(name: str) -> logging.Logger:
    """Bind this process's life to its parent's and return the program's logger."""
    end_with_parent()
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)sZ %(levelname)s %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
        force=True,
    )
    return logging.getLogger(name)


def make_private_folder(folder: Path) -> None:
    """Make `folder`, and what is missing above it, for this user alone: mkdir(parents=True) heeds the umask there."""
    if not folder.is_dir():
        make_private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def is_gone(path: Path) -> bool:
    """Whether there is nothing at `path`. Raises OSError when that cannot be known now."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    return False


def fsync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(file: Path, content: bytes) -> None:
    """Put `content` in the place of `file` in one step: after a power cut, the old or the new one is there, whole."""
    new = file.with_name(f"{file.name}.new")
    with new.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)
    fsync_folder(file.parent)


def end_with_parent() -> None:
    """Let the kernel kill this process when its parent dies.

    A supervisord that is killed leaves its programs alive, and an orphaned server would hold the port against its
    successor. SIGKILL, because a stopped or stuck orphan must go, too; nothing acknowledged depends on a clean end.
    The parent says in PARENT who it is: one that died during this program's imports has been replaced by init already.
    """
    parent = int(os.environ.pop(PARENT, 0)) or os.getppid()  # removed: the children of this process have another one
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died before the kernel knew
        os.kill(os.getpid(), signal.SIGKILL)
