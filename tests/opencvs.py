"""Runs the tests of the vision with other versions of OpenCV: `python -m tests.opencvs`, or `make test-opencvs`.

PiVision is tested with the OpenCV that requirements.txt pins. A box may have another: 4.14, which still has cascades
and HOG, or Debian's 4.6, where pip has no wheel for the machine. Each gets an environment of its own in .opencvs/.
"""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

from pivision.config import ROOT

_FOLDER = ROOT / ".opencvs"
_FROM_PIP = "4.14.0.94"
_DEBIAN_PYTHON = Path("/usr/bin/python3")
_DEBIAN_PACKAGES = "python3-opencv opencv-data"
_NEEDED = ("zxing-cpp", "msgspec", "apsw", "pytest", "pytest-xdist", "hypothesis", "pillow", "qrcode")
_TEXT = ROOT / "requirements-text.txt"


def main() -> None:
    """Make the environments that are not there yet, and run the tests in each; the exit status is that of the worst."""
    worst = 0
    for folder in (with_opencv_4(), _with_debians()):
        python = folder / "bin" / "python"
        version = subprocess.check_output([python, "-c", "import cv2; print(cv2.__version__)"], text=True).strip()
        print(f"OpenCV {version}", flush=True)
        run = subprocess.run(
            [python, "-m", "pytest", "tests/vision", "--numprocesses=2", "-p", "no:cacheprovider"],
            cwd=ROOT,
            check=False,
        )
        worst = max(worst, run.returncode)
    sys.exit(worst)


def with_opencv_4() -> Path:
    folder = _FOLDER / _FROM_PIP
    if not (folder / "installed").exists():
        venv.create(folder, clear=True, with_pip=True)
        _install(folder, f"opencv-python=={_FROM_PIP}", f"numpy=={_pins()['numpy']}")
    return folder


def _with_debians() -> Path:
    """Debian's Python with its packages, and everything else from pip as ever."""
    folder = _FOLDER / "debian"
    if subprocess.run([_DEBIAN_PYTHON, "-c", "import cv2"], check=False, capture_output=True).returncode:
        sys.exit(f"Debian's OpenCV is not installed: sudo apt install {_DEBIAN_PACKAGES}")
    if not (folder / "installed").exists():
        subprocess.run([_DEBIAN_PYTHON, "-m", "venv", "--clear", "--system-site-packages", folder], check=True)
        _install(folder)
    return folder


def _install(folder: Path, *vision: str) -> None:
    """Install what the tests need, as pinned; what reads text without its dependencies, which name an OpenCV."""
    pip: list[str | Path] = [
        folder / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    pins = _pins()
    subprocess.run([*pip, *vision, *(f"{name}=={pins[name]}" for name in _NEEDED)], check=True)
    subprocess.run([*pip, "--no-deps", "--requirement", _TEXT], check=True)
    (folder / "installed").touch()


def _pins() -> dict[str, str]:
    files = ("requirements.txt", "requirements-dev.txt")
    text = "\n".join((ROOT / file).read_text(encoding="utf-8") for file in files)
    return dict(re.findall(r"^([\w-]+)==(\S+)", text, re.MULTILINE))


if __name__ == "__main__":
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    main()
