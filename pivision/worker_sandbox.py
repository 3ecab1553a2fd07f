"""What a worker gives up before it decodes the first image: hostile ones may take over the library that reads them.

Left are: code and models to read; the database, its ledger and lock, images, backups, and the workers' part of the run
folder to write. Out of reach are the secrets and their copy, supervisord and its socket, other processes, and every
network. docs/sandbox.md says what a taken-over worker can still do.
"""

import contextlib
import ctypes
import itertools
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pivision import heartbeat, landlock, seccomp
from pivision.config import ROOT, Settings
from pivision.landlock import Right, Rule

_SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/etc/ld.so.cache", "/etc/localtime")
_TOLD_BY_THE_KERNEL = (  # how many cores there are, and how much memory
    "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys", "/proc/filesystems",
    "/sys/devices", "/sys/bus", "/sys/fs/cgroup",
)  # fmt: skip
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_NEEDED_VARIABLES = re.compile(
    r"PIVISION_(?!CLIENT_TOKEN|WEB_PASSWORD_SHA|NOTICE|MODEL_MIRROR)\w+|PATH|HOME|USER|LANG|LC_\w+|TZ|TMPDIR|LD_\w+"
    r"|PYTHON\w*|MALLOC_\w+|(OPENBLAS|OPENCV|OMP|ORT)_\w+|SUPERVISOR_\w+"
)


_pinned: list[int] = []
"""Descriptors that keep the entries of processes in /proc: a rule belongs to an entry, and not to its name."""


def enter(settings: Settings) -> Callable[[], bool]:
    """Give up what a worker does not need, for good, and say in the log what this kernel cannot take away.

    Returns whether the models lie elsewhere by now, in a folder or behind a link that this worker may not read: then it
    must be started again.
    """
    log = logging.getLogger("sandbox")
    heartbeat.boot_id()  # remembered: the first process is out of sight from now on
    _forget_variables()
    with contextlib.suppress(OSError):
        settings.models_dir.mkdir(exist_ok=True)
    places = _places_of_models(settings.models_dir)
    try:
        has_landlock = landlock.restrict(list(_rules(settings)))
    except OSError as error:
        has_landlock = False
        log.warning("%s", error)
    has_seccomp = seccomp.restrict()
    if has_landlock and has_seccomp:
        log.info("restricted: Landlock %d, seccomp", landlock.abi())
    else:
        missing = [name for name, is_there in (("Landlock", has_landlock), ("seccomp", has_seccomp)) if not is_there]
        log.warning("this kernel has no %s: a hostile image could do more; docs/sandbox.md", " and no ".join(missing))
    return lambda: has_landlock and not _places_of_models(settings.models_dir) <= places


def _rules(settings: Settings) -> Iterator[Rule]:
    kept_out = [settings.data_dir, settings.log_dir, settings.run_dir, ROOT / "pivision.toml", ROOT / ".git"]
    for code in {*map(Path, _SYSTEM), *_of_python(), ROOT / "pivision"}:
        yield from (Rule(path, Right.RUN) for path in _without(code, kept_out))
    yield Rule(ROOT, Right.READ_DIR)  # a model is tried by a process that finds the package there
    for read in (*map(Path, _TOLD_BY_THE_KERNEL), *(place for place, *_ in _places_of_models(settings.models_dir))):
        yield Rule(read, Right.READ)
    for process in ("/proc/self", f"/proc/{os.getppid()}/stat"):  # others' environments are not to be read
        _pinned.append(os.open(process, os.O_PATH | os.O_CLOEXEC))
        yield Rule(Path(process), Right.READ)
    for device in _DEVICES:
        yield Rule(Path(device), Right.READ_FILE | Right.WRITE_FILE)
    database = settings.database
    for file in (database, *(database.with_name(database.name + end) for end in ("-wal", "-shm"))):
        yield Rule(file, Right.CHANGE_FILE)
    for file in (database.with_suffix(".lock"), settings.data_dir / "requests.jsonl"):
        file.touch(mode=0o600)
        yield Rule(file, Right.CHANGE_FILE)
    for folder in (settings.images_dir, settings.data_dir / "backups", settings.run_dir / heartbeat.FOLDER):
        folder.mkdir(mode=0o700, exist_ok=True)
        yield Rule(folder, Right.CHANGE)


def _of_python() -> Iterator[Path]:
    """Where this Python and all that it imports are; not the project's folder as such, in which the data may be."""
    for place in {sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.realpath(sys.executable), *sys.path}:
        path = Path(place)
        if path.is_absolute() and path != ROOT:
            yield path


def _without(path: Path, kept_out: Iterable[Path]) -> Iterator[Path]:
    """The path, or where something that is kept out lies below it, the rest of what is below it."""
    real = Path(os.path.realpath(path))
    inside = [each for each in (Path(os.path.realpath(out)) for out in kept_out) if each.is_relative_to(real)]
    if not inside:
        yield path
    elif real not in inside:
        with contextlib.suppress(OSError):
            for child in real.iterdir():
                yield from _without(child, inside)


def _places_of_models(folder: Path) -> set[tuple[Path, int, int]]:
    """The folder, and what the links in it lead to: a model may lie on another disk. Each with what is there now."""
    places = set()
    with contextlib.suppress(OSError):
        for file in (folder, *(file for file in folder.iterdir() if file.is_symlink())):
            with contextlib.suppress(FileNotFoundError):
                found = file.stat()
                places.add((Path(os.path.realpath(file)), found.st_dev, found.st_ino))
    return places


def _forget_variables() -> None:
    """Overwrite what the environment holds beyond what is needed: else it stays in memory and /proc/self/environ."""
    entries = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
    addresses = list(itertools.takewhile(bool, (entries[place] for place in itertools.count())))
    for address in filter(None, addresses):
        entry = ctypes.string_at(address)
        name = entry.partition(b"=")[0].decode(errors="replace")
        if not _NEEDED_VARIABLES.fullmatch(name):
            os.environ.pop(name, None)
            ctypes.memset(address, 0, len(entry))
