"""A worker's sign of life: a file with the time by which the next sign is due.

The promise stands in CLOCK_BOOTTIME, which no one can set, together with the boot it counts from. A worker that takes a
task promises the task's deadline, so that a long task needs no thread that could live on while the work hangs.
Standard library only: health reads these files, too.
"""

import contextlib
import functools
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

IDLE_PROMISE_SECONDS = 15.0
"""An idle worker looks at the queue every few seconds; three missed looks are no accident."""

MARGIN_SECONDS = 5.0
"""Between a task's deadline, at which the kernel ends the worker, and the time at which somebody else must."""

FOLDER = "workers"
"""The part of the run folder that a worker may write: not the secrets' copy, nor what supervisord has there."""

_SIGN_BYTES = 256  # more than any sign has: each covers the one before it


class Heartbeat(NamedTuple):
    """One sign of life."""

    pid: int
    boot_id: str
    due: float  # CLOCK_BOOTTIME, seconds: the worker is stuck if nothing newer is there by then
    task_id: int | None  # what it works on
    deadline: float | None  # CLOCK_BOOTTIME, seconds: when the kernel ends the worker

    def is_fresh(self) -> bool:
        """Whether the promise was made in this boot and still holds."""
        return self.boot_id == boot_id() and boottime() < self.due

    def is_past_deadline(self) -> bool:
        """Whether the deadline of the task it worked on has come, in this boot."""
        return self.boot_id == boot_id() and self.deadline is not None and boottime() >= self.deadline


def boottime() -> float:
    """Seconds since boot, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@functools.cache
def boot_id() -> str:
    """A name for this boot: the kernel's, and when the first process started: a container boots without its kernel."""
    kernel = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{kernel}-{_start_ticks(1)}"


def started(pid: int) -> float | None:
    """When a process was started, in seconds of CLOCK_BOOTTIME; None if there is none."""
    try:
        return _start_ticks(pid) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return None


def _start_ticks(pid: int) -> int:
    """Field 22 of proc_pid_stat(5); the second one, the name, may hold anything, but ends with the last bracket."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    return int(stat.rpartition(")")[2].split()[19])


def path(run_dir: Path, worker: int) -> Path:
    """Where worker number `worker` leaves its sign."""
    return run_dir / FOLDER / f"worker-{worker}.json"


def beat(run_dir: Path, worker: int, task_id: int | None = None, deadline_seconds: float | None = None) -> None:
    """Leave a sign: idle, or at work on a task that ends within `deadline_seconds`.

    Whoever reads in the middle of it may find no sign: health believes that only when it finds none three times. A sign
    that cannot be left just now is left out: whoever waits for it decides, and a task at work need not end for it.
    """
    now = boottime()
    deadline = None if deadline_seconds is None else now + deadline_seconds
    due = now + IDLE_PROMISE_SECONDS if deadline is None else deadline + MARGIN_SECONDS
    sign = json.dumps(Heartbeat(os.getpid(), boot_id(), due, task_id, deadline)._asdict()).encode()
    place = path(run_dir, worker)
    with contextlib.suppress(OSError):
        try:
            file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            place.parent.mkdir(mode=0o700)
            file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(file, sign.ljust(_SIGN_BYTES), 0)  # in place: a rename costs a disk half a millisecond
        finally:
            os.close(file)


def read(run_dir: Path, worker: int) -> Heartbeat | None:
    """The last sign of worker number `worker`; None if there is none, or it cannot be read now."""
    try:
        return look(run_dir, worker)
    except OSError:
        return None


def look(run_dir: Path, worker: int) -> Heartbeat | None:
    """The last sign of worker number `worker`; None if there is none. Raises OSError when that cannot be known."""
    try:
        return Heartbeat(**json.loads(path(run_dir, worker).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write_whole(file: Path, content: object) -> None:
    """Replace `file` with JSON in one step, so that no reader sees half of it. Not durable: it describes now."""
    new = file.with_suffix(f".{os.getpid()}.new")
    new.write_bytes(json.dumps(content).encode())
    new.replace(file)
