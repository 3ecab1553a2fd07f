"""The Python environment that PiVision runs in: made beside the one in use, and switched to in one step.

`.venv` is a symbolic link to `.venvs/KEY`, and KEY is told by requirements.txt and the Python: another version of
PiVision finds its own environment, complete or not there, and the way back is one link. An environment cannot be moved,
since its scripts name their folder; a link to it can.

An environment may hold optional parts: `text` is what requirements-text.txt, beside requirements.txt, lists. They tell
KEY, too. The environment in use remembers which parts are wanted, so that the next one brings them again; one that
cannot be had is no reason to stay without the rest.

Beside each list lies a lock with the SHA-256 of each file that PyPI has for its pins (`make lock`): pip takes no other.
"""

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from pivision.errors import InstallationFailed, OpencvMissing
from pivision.install import account

ROOT = Path(__file__).resolve().parent.parent.parent
LINK = ROOT / ".venv"
PYTHON = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
"""The Python that environments are made with, also when an environment's own runs this."""

NEEDS_APT = 3
"""The exit status of `python -m pivision venv` when only Debian's packages have OpenCV."""

PARTS = ("text",)
"""What an environment may hold besides what it must."""

_FOLDER = ROOT / ".venvs"
_WANTED = "wanted"  # the file in an environment that names the optional parts, one a line, there or not
_COMPLETE = "installed"  # the file in an environment that says: complete, and on the disk
_HAS_WHEELS = platform.machine() in ("x86_64", "aarch64") and sys.maxsize > 2**32
"""Whether PyPI has wheels for this machine. On 32-bit ARM they come from piwheels.org, which builds its own."""
_SECONDS = 3600.0  # a slow SD card and a slow line; whatever takes longer hangs


def wanted() -> tuple[str, ...]:
    """The optional parts that the environment in use has, or would have if they could have been brought."""
    try:
        named = (LINK / _WANTED).read_text(encoding="utf-8").split()
    except OSError:
        return ()
    return tuple(part for part in PARTS if part in named)


def requirements_of(part: str, requirements: Path) -> Path:
    """The file that lists an optional part; it is beside the requirements that the part is for."""
    return requirements.with_name(f"requirements-{part}.txt")


def folder_for(requirements: Path, parts: Iterable[str] = ()) -> Path:
    """Where the environment for these requirements is, or will be; with those of the parts that this version has."""
    files = [requirements, *(file for part in parts if (file := requirements_of(part, requirements)).exists())]
    told_by = b"".join(file.read_bytes() for file in files) + f"{sys.base_prefix} {PYTHON.name}".encode()
    return _FOLDER / hashlib.sha256(told_by).hexdigest()[:12]


def is_complete(folder: Path) -> bool:
    """Whether the environment is there from beginning to end."""
    return (folder / _COMPLETE).exists()


def is_in_use(folder: Path) -> bool:
    """Whether `.venv` leads to it."""
    return LINK.is_symlink() and LINK.resolve() == folder


def ensure(requirements: Path, wheels: Path | None, parts: Iterable[str] = ()) -> Path:
    """Make the environment for these requirements unless it is there, and return its folder.

    With `wheels`, packages come from that folder and not from the network. OpenCV is pip's wheel; its build without
    windows where the system lacks a library; Debian's python3-opencv where pip has no wheel (32-bit ARM). A part that
    cannot be brought is left out, which is said.
    Raises InstallationFailed, or OpencvMissing when only apt can help.
    """
    there = list(parts)
    while True:
        try:
            return _made(requirements, wheels, there)
        except _PartMissing as missing:
            reason = str(missing).splitlines()[-1]
            print(f"Going on without {missing.part}, which is tried again next time: {reason}", flush=True)
            there.remove(missing.part)


def add(part: str, wheels: Path | None = None) -> None:
    """Bring an optional part: an environment with it, beside the one in use, and the switch to it.

    What runs goes on with the environment before until it is restarted, which is said.
    Raises InstallationFailed, with nothing changed.
    """
    owner = account.owner_of(ROOT)
    if os.geteuid() != owner.uid:
        raise InstallationFailed(f"{ROOT} belongs to {owner.name}, who alone may change it: sudo -u {owner.name} …")
    parts = tuple(each for each in PARTS if each in (*wanted(), part))
    folder = _made(ROOT / "requirements.txt", wheels, parts)
    if is_in_use(folder):
        print(f"{part}: is there already")
        return
    switch_to(folder, parts)
    print(f"{part}: is there after a restart: sudo systemctl restart pivision, or stop and start `make run`")


def switch_to(folder: Path, parts: Iterable[str] = ()) -> None:
    """Let `.venv` lead to this environment, in which `parts` are wanted.

    The one before stays, for the way back; older ones go.
    """
    (folder / _WANTED).write_text("".join(f"{part}\n" for part in parts), encoding="utf-8")
    os.sync()  # an environment whose file is empty after a power cut would forget its parts
    (folder / _COMPLETE).touch()  # newer than requirements.txt, for make
    if is_in_use(folder):
        return
    if LINK.is_dir() and not LINK.is_symlink():  # made before environments had their own folders
        shutil.rmtree(_FOLDER / "before", ignore_errors=True)
        LINK.rename(_FOLDER / "before")
        before = _FOLDER / "before"
    else:
        before = LINK.resolve()
    new = LINK.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.symlink_to(folder.relative_to(ROOT))
    new.replace(LINK)
    for old in _FOLDER.iterdir():
        if old not in (folder, before):
            shutil.rmtree(old)


class _PartMissing(InstallationFailed):
    """An optional part cannot be brought."""

    def __init__(self, part: str, detail: str) -> None:
        super().__init__(detail)
        self.part = part


def _made(requirements: Path, wheels: Path | None, parts: Iterable[str]) -> Path:
    """The folder of the environment with exactly these parts. Raises _PartMissing, and leaves nothing then."""
    folder = folder_for(requirements, parts)
    if is_complete(folder):
        return folder
    print(f"Installing what PiVision runs on into {folder.relative_to(ROOT)}; this takes minutes on a Pi", flush=True)
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted run has left
    _run(PYTHON, "-m", "venv", folder)
    pip = _Pip(folder, wheels)
    for part in parts:  # first of all: the rest, which takes minutes, would be in vain
        _install_part(part, requirements, folder, pip)
    pinned = [line.partition("#")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines()]
    vision = [pin for pin in pinned if pin.startswith(("opencv-python==", "numpy=="))]
    lock = requirements.with_suffix(".lock")
    pip.install([pin for pin in pinned if pin and pin not in vision], lock)
    _install_vision(folder, pip, vision, lock)
    os.sync()  # before it counts as complete: the plug may be pulled at any time
    (folder / _COMPLETE).touch()
    return folder


def _install_part(part: str, requirements: Path, folder: Path, pip: "_Pip") -> None:
    """Exactly the packages that the part lists: what they ask for themselves may be another OpenCV."""
    listed = requirements_of(part, requirements)
    if not listed.exists():  # a version that does not have it
        return
    try:
        pins = [line.partition("#")[0].strip() for line in listed.read_text(encoding="utf-8").splitlines()]
        pip.install([pin for pin in pins if pin], listed.with_suffix(".lock"), "--no-deps", "--only-binary=:all:")
    except InstallationFailed as error:
        shutil.rmtree(folder)
        raise _PartMissing(part, str(error)) from None


def _install_vision(folder: Path, pip: "_Pip", pins: list[str], lock: Path) -> None:
    """OpenCV and NumPy. Everything else has just come, so that a failure means: there is no wheel for this machine."""
    try:
        pip.install(pins, lock, "--only-binary=:all:")  # building OpenCV takes a Pi a day
    except InstallationFailed as no_wheel:
        _use_system_opencv(folder, no_wheel)
        return
    if _imports_cv2(folder / "bin" / "python"):
        return
    print("opencv-python lacks a system library (libgl1, libglib2.0-0): taking its build without windows", flush=True)
    pip.uninstall("opencv-python")
    headless = [pin.replace("opencv-python", "opencv-python-headless") for pin in pins if pin.startswith("opencv")]
    pip.install(headless, lock, "--no-deps", "--only-binary=:all:")
    if not _imports_cv2(folder / "bin" / "python"):
        raise InstallationFailed("OpenCV cannot be imported; see: .venv/bin/python -c 'import cv2'")


def _use_system_opencv(folder: Path, no_wheel: InstallationFailed) -> None:
    """Let the environment see Debian's python3-opencv, and the NumPy that it was built with."""
    if not _imports_cv2(PYTHON):
        raise OpencvMissing(f"pip has no OpenCV for this machine, and Debian's is not installed\n{no_wheel}")
    print("pip has no OpenCV for this machine: taking Debian's python3-opencv", flush=True)
    configuration = folder / "pyvenv.cfg"
    isolated, shared = (f"include-system-site-packages = {choice}" for choice in ("false", "true"))
    configuration.write_text(configuration.read_text(encoding="utf-8").replace(isolated, shared), encoding="utf-8")
    if not _imports_cv2(folder / "bin" / "python"):
        raise InstallationFailed("Debian's OpenCV cannot be imported; see: python3 -c 'import cv2'")


def _imports_cv2(python: Path) -> bool:
    with contextlib.suppress(InstallationFailed):
        _run(python, "-c", "import cv2")
        return True
    return False


def hashes_of(pin: str, lock: Path) -> list[str]:
    """Return pip's --hash options for the files of a pin, such as numpy==2.4.6. Raises InstallationFailed for none."""
    pin = pin.replace("_", "-").lower()
    lines = iter(lock.read_text(encoding="utf-8").replace("\\\n", "").splitlines())
    for name, *hashes in filter(None, map(str.split, lines)):
        if name == pin:
            return hashes
    raise InstallationFailed(f"{lock.name} has no hash of {pin}, which {lock.stem}.txt names: make lock")


class _Pip:
    """pip of one environment, with or without the network.

    Where packages come from a folder, pip.conf and PIP_* count for nothing: they may name other folders and indexes.
    """

    def __init__(self, folder: Path, wheels: Path | None) -> None:
        self._command = (folder / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check")
        self._source = ["--no-index", "--find-links", str(wheels)] if wheels else []
        without_pips = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        self._environment = {**without_pips, "PIP_CONFIG_FILE": os.devnull} if wheels else None

    def install(self, pins: list[str], lock: Path, *options: str) -> None:
        """Install exactly these pins; with a lock, only files whose SHA-256 it has."""
        with tempfile.NamedTemporaryFile("w", prefix="requirements-", suffix=".txt", encoding="utf-8") as file:
            if _HAS_WHEELS and lock.exists():
                options = ("--require-hashes", *options)
                pins = [f"{pin} {' '.join(hashes_of(pin, lock))}" for pin in pins]
            file.write("\n".join(pins))
            file.flush()
            given = (*options, "--requirement", file.name)
            _run(*self._command, "install", *self._source, *given, environment=self._environment)

    def uninstall(self, package: str) -> None:
        _run(*self._command, "uninstall", "--yes", package)


def _run(*command: str | Path, environment: dict[str, str] | None = None) -> None:
    shown = " ".join(str(word) for word in command)
    try:
        finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallationFailed(f"{shown}: {error}") from None
    if finished.returncode:
        raise InstallationFailed(f"{shown} failed:\n{(finished.stderr or finished.stdout).strip()}")
