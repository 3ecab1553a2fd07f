"""The machine that the numbers are of."""

import datetime
import os
import platform
import re
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

import apsw


def describe() -> str:
    """One paragraph: the processor, memory, system, the versions that matter, and how busy it is already."""
    cpus = re.findall(r"^(?:model name|Model)\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    disk_free_bytes = shutil.disk_usage(tempfile.gettempdir()).free
    return (
        f"{datetime.date.today()}: {len(os.sched_getaffinity(0))} cores {platform.machine()} "
        f"({cpus[-1] if cpus else 'unknown'}), {memory_bytes / 2**30:.0f} GB memory, {_filesystem()} with "
        f"{disk_free_bytes / 2**30:.0f} GB free, Linux {platform.release()}, Python {platform.python_version()}, "
        f"SQLite {apsw.sqlite_lib_version()} (apsw), "
        f"OpenCV {metadata.version('opencv-python')}; load average {os.getloadavg()[0]:.2f}."
    )


def _filesystem() -> str:
    """That of the temporary folder, where every database and every appliance of a benchmark lives."""
    folder = os.path.realpath(tempfile.gettempdir())
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [mount for mount in mounts if folder == mount[0] or folder.startswith(mount[0].rstrip("/") + "/")]
    return max(holding, key=lambda mount: len(mount[0]))[1]
