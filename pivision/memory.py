"""How much memory there is for PiVision, and which of its programs the kernel takes first when none is left.

Standard library only.
"""

import contextlib
import os
from pathlib import Path

_WORKER_SCORE = 500  # of -1000 to 1000; the unit starts everything at -500 (OOMScoreAdjust=)
_LEAST_BYTES, _MOST_BYTES = 256 << 20, 1 << 30


def total_bytes(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Return the machine's memory, or what a control group (MemoryMax=, a container) leaves of it."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with contextlib.suppress(OSError):
        for line in own.read_text(encoding="utf-8").splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0":
                limits += _limits(groups, path, "memory.max")
            elif "memory" in controllers.split(","):
                limits += _limits(groups / "memory", path, "memory.limit_in_bytes")
    return min(limits)


def task_bytes() -> int:
    """Return what one task may map: a quarter of the memory.

    Three workers, as a Pi of four cores has them, then leave a quarter to all else, however large their pictures are.
    Below 256 MiB no photograph of a phone could be looked at; above 1 GiB, none that max_image_pixels allows needs it.
    """
    return min(_MOST_BYTES, max(_LEAST_BYTES, total_bytes() // 4))


def go_first() -> None:
    """Let the kernel end this process before all that have not said so; a task costs less than supervisord."""
    with contextlib.suppress(OSError):  # of a kernel without it, or a person's own, higher number
        score = Path("/proc/self/oom_score_adj")
        if int(score.read_text(encoding="ascii")) < _WORKER_SCORE:
            score.write_text(str(_WORKER_SCORE), encoding="ascii")


def _limits(groups: Path, path: str, name: str) -> list[int]:
    """The limits of a group and of those above it; `max` is none."""
    found = []
    folder = groups / path.lstrip("/")
    for each in (folder, *folder.parents):
        if not each.is_relative_to(groups):
            break
        with contextlib.suppress(OSError, ValueError):
            found.append(int((each / name).read_text(encoding="ascii")))
    return found
