"""Landlock and seccomp, each tried in a process of its own: what they forbid, and what goes on working."""

import ctypes
import subprocess
import sys
from pathlib import Path

from pivision import landlock, seccomp
from pivision.config import ROOT
from tests import needs

HAS_LANDLOCK = landlock.abi() >= landlock.LEAST_ABI


def ended(script: str, *arguments: object) -> list[str]:
    """What a script prints, each line by itself."""
    lines = subprocess.run(
        [sys.executable, "-c", TRIED + script, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return lines.stdout.split()


TRIED = """
def tried(attempt):
    try:
        attempt()
        print("done")
    except OSError as error:
        print(type(error).__name__)
"""
"""What the scripts share: say whether an attempt succeeds, or what refuses it."""

PATHS = """
import os, sys
from pathlib import Path
from pivision import landlock
from pivision.landlock import Right, Rule
folder = Path(sys.argv[1])
print(landlock.restrict([Rule(folder / "kept", Right.CHANGE), Rule(folder / "file", Right.CHANGE_FILE),
                         Rule(folder / "missing", Right.READ)]))
tried(lambda: (folder / "kept" / "new").write_bytes(b"1"))
tried(lambda: (folder / "kept" / "new").rename(folder / "kept" / "sub" / "moved"))
tried(lambda: (folder / "file").write_bytes(b"1"))
tried(lambda: (folder / "file").read_bytes())
tried(lambda: (folder / "file").unlink())
tried(lambda: (folder / "secret").read_bytes())
tried(lambda: (folder / "secret").write_bytes(b""))
tried(lambda: list(folder.iterdir()))
"""


def test_landlock_leaves_what_the_rules_name(tmp_path: Path) -> None:
    (tmp_path / "kept" / "sub").mkdir(parents=True)
    for name in ("file", "secret"):
        (tmp_path / name).touch()
    said = ended(PATHS, tmp_path)
    denied = "PermissionError" if HAS_LANDLOCK else "done"
    assert said == [str(HAS_LANDLOCK), "done", "done", "done", "done", *[denied] * 4]


def test_the_version_is_the_kernels() -> None:
    version = ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    assert landlock.abi() == max(0, version)


CALLS = """
import os, signal, socket, subprocess, sys, threading
from pivision import seccomp
print(seccomp.restrict())
tried(lambda: os.kill(os.getppid(), 0))
tried(lambda: socket.socket(socket.AF_INET).close())
tried(lambda: socket.socket(socket.AF_UNIX).close())
tried(lambda: os.chmod(sys.argv[1], 0o777))
tried(lambda: os.truncate(sys.argv[1], 0))
tried(lambda: os.kill(os.getpid(), 0))
tried(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).close())
tried(lambda: subprocess.run([sys.executable, "-c", ""], check=True))
thread = threading.Thread(target=print, args=("thread",))
thread.start()
thread.join()
signal.raise_signal(signal.SIGCHLD)
"""


def test_seccomp_forbids_what_reaches_others_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert seccomp.is_supported()
    assert ended(CALLS, file) == ["True", *["PermissionError"] * 5, "done", "done", "done", "thread"]


@needs.mark("systemd")
def test_systemd_lets_a_worker_restrict_itself() -> None:
    """What the unit's SystemCallFilter= leaves: sets of systemd, and calls by name."""
    unit = (ROOT / "systemd" / "pivision.service").read_text(encoding="utf-8")
    words = [line.partition("=")[2] for line in unit.splitlines() if line.startswith("SystemCallFilter=")]
    allowed = {call for word in words if not word.startswith("~") for call in expanded(word.split())}
    denied = {call for word in words if word.startswith("~") for call in expanded(word[1:].split())}
    needed = {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "prctl"}
    assert needed <= allowed - denied


def expanded(words: list[str]) -> set[str]:
    calls: set[str] = set()
    for word in words:
        if word.startswith("@"):
            lines = subprocess.check_output(["systemd-analyze", "syscall-filter", word], text=True).splitlines()
            calls |= expanded([line.strip() for line in lines[1:] if line.strip() and not line.strip().startswith("#")])
        else:
            calls.add(word)
    return calls
