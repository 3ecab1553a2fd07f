"""What a machine is made of: Debian's files, a folder of wheels, and the project. The first two are cached.

There are two Debians: 12, which Raspberry Pi OS was built on for years, and 13, which it is built on now.

The cache is in $XDG_CACHE_HOME/pivision or ~/.cache/pivision, each thing under a name that changes with what went into
it. It may be deleted at any time.
"""

import contextlib
import fcntl
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from pivision.config import ROOT


class Release(NamedTuple):
    """A release of Debian, and the version of its Python."""

    suite: str
    python: str


BOOKWORM, TRIXIE = Release("bookworm", "3.11"), Release("trixie", "3.13")

on_each_release = pytest.mark.parametrize(
    "release", [pytest.param(each, id=each.suite) for each in (BOOKWORM, TRIXIE)], indirect=True, scope="session"
)
"""Runs a test on both, with the fixtures of conftest.py."""

MINIMAL = "make,python3,python3-venv"
"""What README asks for, and nothing else."""

PACKAGES = (
    "systemd,systemd-sysv,dbus,sudo",
    "git,make,python3,python3-venv,ca-certificates,libgl1,libglib2.0-0",  # what README asks for, and what OpenCV loads
    "curl,iproute2,procps",  # what the owner's checklist types
    "slowhttptest",  # slow and hostile clients
    "libfaketime",  # another time of day for the appliance alone: a container has the host's clock
)
_WITHOUT_NETWORK = (
    'echo "127.0.0.1 localhost pivision" > "$1/etc/hosts"',
    'printf "[global]\\nno-index = true\\nfind-links = /wheels\\n" > "$1/etc/pip.conf"',
)
_MAKE_OWNER = (
    'chroot "$1" useradd --create-home --shell /bin/bash --groups sudo,adm,video djg',
    'echo "djg ALL=(ALL) NOPASSWD: ALL" > "$1/etc/sudoers.d/djg"',
    'echo pivision > "$1/etc/hostname"',
    'chroot "$1" systemd-machine-id-setup',
    *_WITHOUT_NETWORK,
)
_MAKE_USER = ('chroot "$1" useradd --create-home --shell /bin/bash djg', *_WITHOUT_NETWORK)
_TOOLS = {"mmdebstrap": "mmdebstrap", "systemd-nspawn": "systemd-container", "nsenter": "util-linux"}
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pivision"


def what_is_missing() -> str | None:
    """Why no machine can be booted here, and the command that changes it; None when one can."""
    if os.geteuid() != 0:
        return "booting a machine needs root: sudo make test-appliance"
    if packages := sorted({package for tool, package in _TOOLS.items() if not shutil.which(tool)}):
        return f"booting a machine needs: sudo apt install {' '.join(packages)}"
    return None


def debian(release: Release) -> Path:
    """The root of a small Debian that boots, with the user djg, who may use sudo, and with nothing of this project."""
    return _debian(release, ",".join(PACKAGES), _MAKE_OWNER)


def minimal(release: Release) -> Path:
    """The root of a Debian with what README asks for and an ordinary user djg. It has no systemd."""
    return _debian(release, MINIMAL, _MAKE_USER)


def _debian(release: Release, packages: str, commands: Sequence[str]) -> Path:
    def build(folder: Path) -> None:
        hooks = [f"--customize-hook={command}" for command in commands]
        _run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", *hooks, release.suite, str(folder))

    return _cached(f"debian-{release.suite}", repr((release, packages, commands)), build)


def wheels(release: Release) -> Path:
    """Everything that requirements.txt names, for the Python of that Debian: a machine needs no network."""
    files = [ROOT / "requirements.txt"]
    return _cached(f"wheels-{release.suite}", files[0].read_text(), lambda folder: _download(release, files, folder))


def wheels_for_tests(release: Release) -> Path:
    """Those, and what `make test` needs on top, and OpenCV's build without windows."""
    files = [ROOT / f"requirements{part}.txt" for part in ("", "-dev", "-text")]
    text = "".join(file.read_text() for file in files)

    def build(folder: Path) -> None:
        _download(release, files, folder)
        (pin,) = re.findall(r"^opencv-python(==\S+)", text, re.MULTILINE)
        _pip_download(release, folder, "--no-deps", f"opencv-python-headless{pin}")

    return _cached(f"wheels-for-tests-{release.suite}", text, build)


def _download(release: Release, files: Iterable[Path], folder: Path) -> None:
    """The parts of an environment one by one: what rapidocr asks for is another OpenCV."""
    for file in files:
        alone = ("--no-deps",) if file.stem.endswith("-text") else ()
        _pip_download(release, folder, *alone, f"--requirement={file}")


def _pip_download(release: Release, folder: Path, *what: str) -> None:
    only = ("--only-binary=:all:", f"--python-version={release.python}", f"--dest={folder}")
    _run(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *only, *what)


def project() -> bytes:
    """A tar of the checkout as it stands now: of the files that git knows."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).exists():
                tar.add(ROOT / name, name)
    return packed.getvalue()


def _cached(kind: str, made_from: str, build: Callable[[Path], None]) -> Path:
    """The folder that `build` has filled: in this run or in an earlier one. Never a half-filled one."""
    folder = _CACHE / f"{kind}-{hashlib.sha256(made_from.encode()).hexdigest()[:12]}"
    with _alone(kind):
        if not folder.exists():
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            build(partial)
            partial.rename(folder)
    return folder


@contextlib.contextmanager
def _alone(kind: str) -> Iterator[None]:
    """Nobody else builds the same at the same time."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(*command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stderr[-2000:]}")
