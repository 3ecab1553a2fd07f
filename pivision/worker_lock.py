"""Who is alive, told by flock: a worker holds the lock of its number, and the kernel drops it when the worker dies."""

import fcntl
import os
import time
from pathlib import Path

from pivision.errors import may_pass

_TIMEOUT_SECONDS = 10.0


def hold(run_dir: Path, number: int) -> int:
    """Take the lock of worker `number` and return its descriptor, which must stay open as long as the worker lives.

    Another worker may hold it for a moment to see whether this one is dead. Ends this process when one of this number
    is running.
    """
    give_up = time.monotonic() + _TIMEOUT_SECONDS
    while (descriptor := try_hold(run_dir, number)) is None:
        if time.monotonic() >= give_up:
            raise SystemExit(f"{_file(run_dir, number)} is locked: another worker with this number is running")
        time.sleep(0.05)
    return descriptor


def try_hold(run_dir: Path, number: int) -> int | None:
    """The same at once; None if a living worker has it, or if nobody can tell just now."""
    try:
        descriptor = os.open(_file(run_dir, number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if may_pass(error):
            return None
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _file(run_dir: Path, number: int) -> Path:
    return run_dir / f"worker-{number}.lock"
