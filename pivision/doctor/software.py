"""Python, its packages, and the libraries below them."""

import platform
import sys

from pivision.doctor.finding import Findings, failure, ok, warning
from pivision.doctor.site import INSTALL, NoAnswer, Site

_AGAIN = f"make clean, then {INSTALL}"  # an environment is never changed, only replaced
_OPENCV_PACKAGES = ("opencv-python", "opencv-python-headless")  # the second where libGL is missing; apt has one, too
_OPENCV_SECONDS = 60.0  # a Pi reads it from an SD card
# https://sqlite.org/wal.html#walresetbug: who has it, and the older branches that got the repair as well
_WAL_RESET_BUG = (3, 7, 0), (3, 51, 2)
_WAL_RESET_REPAIRED = ((3, 44, 6), (3, 50, 7))


def python(site: Site) -> Findings:
    """The Python that runs the doctor; one before 3.11 does not get as far (pivision/__init__.py)."""
    yield ok(f"{platform.python_version()}, {sys.executable}")


def packages(site: Site) -> Findings:
    """Whether the environment is there, with the versions that requirements.txt pins."""
    try:
        pins = site.ask("packages")
    except NoAnswer as reason:
        yield failure(f"{site.python.parent.parent}: {reason}", INSTALL)
        return
    others = {name: pin for name, pin in pins.items() if name not in _OPENCV_PACKAGES}
    if missing := [name for name, (_, installed) in others.items() if installed is None]:
        yield failure(f"not installed: {', '.join(missing)}", _AGAIN)
    elif wrong := [f"{name} {there}, not {pinned}" for name, (pinned, there) in others.items() if there != pinned]:
        yield warning(f"other versions than those tested together: {', '.join(wrong)}", _AGAIN)
    else:
        yield ok(f"{len(others)} packages as pinned")


def opencv(site: Site) -> Findings:
    """OpenCV's version and what this build has not. It is a process of its own that tries."""
    try:
        found = site.ask("opencv", timeout_seconds=_OPENCV_SECONDS)
        pinned, _ = site.ask("packages")["opencv-python"]
    except NoAnswer as reason:
        lacks_library = "cannot open shared object file" in str(reason)  # opencv-python wants windows, too
        yield failure(f"OpenCV: {reason}", "sudo apt install libgl1 libglib2.0-0" if lacks_library else INSTALL)
        return
    lacks = f"{found['version']}; this build has no {', '.join(found['lacks'])}" if found["lacks"] else found["version"]
    if pinned.startswith(found["version"]):  # opencv-python 5.0.0.93 is OpenCV 5.0.0
        yield ok(lacks)
    else:
        yield warning(f"{lacks}; tested is {pinned}", _AGAIN + ", where pip has it for this machine")


def sqlite(site: Site) -> Findings:
    """The version of the SQLite that the store uses, which is not the system's."""
    try:
        version = site.ask("sqlite")
    except NoAnswer as reason:
        yield failure(f"SQLite: {reason}", INSTALL)
        return
    number = tuple(map(int, version.split(".")))
    first, last = _WAL_RESET_BUG
    is_repaired = any(number[:2] == repaired[:2] and number >= repaired for repaired in _WAL_RESET_REPAIRED)
    if first <= number[:3] <= last and not is_repaired:
        yield failure(f"{version} has the WAL-reset bug, which can damage the database", _AGAIN)
    else:
        yield ok(f"{version}, without the WAL-reset bug")
