"""What only Debian's packages can bring, and what of it is missing."""

import ctypes
import importlib.util
import shutil

from pivision.errors import InstallationFailed
from pivision.install.account import Account

_LIBRARIES = {"libgl1": "libGL.so.1", "libglib2.0-0": "libgthread-2.0.so.0"}
"""What OpenCV's wheel links to, by the package that holds it."""

_SECONDS = 900.0
_OPTIONS = ("-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "DPkg::Lock::Timeout=60")


def missing_for_venv() -> list[str]:
    """Without these, no environment can be made."""
    return [] if importlib.util.find_spec("ensurepip") else ["python3-venv"]


def missing_for_opencv() -> list[str]:
    """Without these, OpenCV comes in its build without windows, which is all that PiVision needs."""
    return [package for package, library in _LIBRARIES.items() if not _loads(library)]


def bring(root: Account, packages: list[str]) -> None:
    """Install packages. Raises InstallationFailed, which names them, without apt or without network."""
    if not shutil.which("apt-get"):
        raise InstallationFailed(f"there is no apt-get here; bring by other means: {' '.join(packages)}")
    install = ["apt-get", *_OPTIONS, "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    if root.attempt(["apt-get", *_OPTIONS, "update", "--quiet"], _SECONDS).returncode or (
        root.attempt(install, _SECONDS).returncode
    ):
        raise InstallationFailed(
            f"apt-get cannot bring them; is there a network? sudo apt install {' '.join(packages)}"
        )


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
