"""What some tests need beyond Debian's python3, python3-venv and make.

A test that lacks it is skipped, and the reason names the command that brings it. In CI a skipped test is a failed run,
unless TESTS_LACK names the need, as in "root chromium": a machine says beforehand what it lacks.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

import pytest

from pivision.config import ROOT
from pivision.models import inventory

LACK = "TESTS_LACK"
AXE = ROOT / "tests" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM, PROMETHEUS = Path("/usr/bin/chromium"), Path("/usr/bin/prometheus")

REMEDIES = {
    "root": "sudo .venv/bin/python -m pytest, where root may mount",
    "systemd": "sudo apt install systemd",
    "chromium": "sudo apt install chromium",
    "axe-core": "npm install --prefix tests/browser",
    "prometheus": "sudo apt install prometheus",
    "strace": "sudo apt install strace, where processes may be traced",
    "text": ".venv/bin/python -m pip install --no-deps -r requirements-text.txt",
    "models": ".venv/bin/python -m pivision models install",
    "photographs": "PIVISION_TEST_CODES names no copy of test/samples of github.com/zxing-cpp/zxing-cpp",
}
"""What brings each of them."""

_ARE_THERE: dict[str, Callable[[], bool]] = {
    "root": lambda: os.geteuid() == 0,
    "systemd": lambda: bool(shutil.which("systemctl") and shutil.which("systemd-analyze")),
    "chromium": CHROMIUM.exists,
    "axe-core": AXE.exists,
    "prometheus": PROMETHEUS.exists,
    "strace": lambda: shutil.which("strace") is not None,
    "text": lambda: inventory.text_reader() is not None,
}


def skip(name: str, why: str = "") -> NoReturn:
    """Skip the running test for the lack of something."""
    pytest.skip(_reason(name, why))


def require(name: str) -> None:
    """Skip the running test unless this is there."""
    if not _ARE_THERE[name]():
        skip(name)


def mark(name: str) -> pytest.MarkDecorator:
    """Return the mark of a test that is skipped unless this is there."""
    return pytest.mark.skipif(not _ARE_THERE[name](), reason=_reason(name, ""))


def unexpected(reasons: Iterable[str]) -> list[str]:
    """Return those skips that are for nothing that LACK names. Raise UsageError if it names what is unknown."""
    lacking = os.environ.get(LACK, "").split()
    if unknown := set(lacking) - set(REMEDIES):
        raise pytest.UsageError(f"{LACK} names {' '.join(sorted(unknown))}; known are {' '.join(REMEDIES)}")
    return [text for text in reasons if not any(text.startswith(f"Skipped: needs {name}: ") for name in lacking)]


def _reason(name: str, why: str) -> str:
    return f"needs {name}: {why or REMEDIES[name]}"
