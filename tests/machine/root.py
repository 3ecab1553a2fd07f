"""What a machine is made of: Debian's files, a folder of wheels, and the project. The first two are cached.

The cache is in $XDG_CACHE_HOME/pivision or ~/.cache/pivision, each thing under a name that changes with what went into
it. It may be deleted at any time.
"""

import contextlib
import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pivision.config import ROOT

SUITE = "bookworm"
PACKAGES = (
    "systemd,systemd-sysv,dbus,sudo",
    "git,make,python3,python3-venv,ca-certificates,libgl1,libglib2.0-0",  # what README asks for, and what OpenCV loads
    "curl,iproute2,procps",  # what the owner's checklist types
    "slowhttptest",  # slow and hostile clients
    "libfaketime",  # another time of day for the appliance alone: a container has the host's clock
)
_MAKE_OWNER = (
    'chroot "$1" useradd --create-home --shell /bin/bash --groups sudo,adm,video djg',
    'echo "djg ALL=(ALL) NOPASSWD: ALL" > "$1/etc/sudoers.d/djg"',
    'echo pivision > "$1/etc/hostname"',
    'echo "127.0.0.1 localhost pivision" > "$1/etc/hosts"',
    'printf "[global]\\nno-index = true\\nfind-links = /wheels\\n" > "$1/etc/pip.conf"',  # there is no network
    'chroot "$1" systemd-machine-id-setup',
)
_TOOLS = {"mmdebstrap": "mmdebstrap", "systemd-nspawn": "systemd-container", "nsenter": "util-linux"}
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pivision"


def what_is_missing() -> str | None:
    """Why no machine can be booted here, and the command that changes it; None when one can."""
    if os.geteuid() != 0:
        return "booting a machine needs root: sudo make test-appliance"
    if packages := sorted({package for tool, package in _TOOLS.items() if not shutil.which(tool)}):
        return f"booting a machine needs: sudo apt install {' '.join(packages)}"
    return None


def debian() -> Path:
    """The root of a minimal Debian with the user djg, who may use sudo, and with nothing of this project."""

    def build(folder: Path) -> None:
        hooks = [f"--customize-hook={command}" for command in _MAKE_OWNER]
        include = f"--include={','.join(PACKAGES)}"
        _run("mmdebstrap", "--quiet", "--variant=minbase", include, *hooks, SUITE, str(folder))

    return _cached("debian", repr((SUITE, PACKAGES, _MAKE_OWNER)), build)


def wheels() -> Path:
    """Everything that requirements.txt names, for the Python of that Debian: a machine needs no network."""
    requirements = ROOT / "requirements.txt"
    only = ("--only-binary=:all:", "--python-version=3.11")

    def build(folder: Path) -> None:
        to = ("--requirement", str(requirements), "--dest", str(folder))
        _run(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *only, *to)

    return _cached("wheels", requirements.read_text(), build)


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
