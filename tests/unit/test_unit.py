"""systemd/pivision.service: what must hold, or the box does not come back by itself."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pivision.config import ROOT
from tests import needs

UNIT = ROOT / "systemd" / "pivision.service"
OWNERS_ROOT = "/home/djg/Projects/PiVision"


@pytest.fixture(scope="module")
def sections() -> dict[str, list[str]]:
    """The lines of each section, comments left out."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            lines = found[line.strip("[]")] = []
        elif line and not line.startswith("#"):
            lines.append(line)
    return found


def test_it_is_the_owners(sections: dict[str, list[str]]) -> None:
    assert "User=djg" in sections["Service"]
    assert f"WorkingDirectory={OWNERS_ROOT}" in sections["Service"]
    assert any(line.startswith(f"ExecStart={OWNERS_ROOT}/.venv/bin/python ") for line in sections["Service"])
    assert sections["Install"] == ["WantedBy=multi-user.target"]


def test_it_never_gives_up(sections: dict[str, list[str]]) -> None:
    assert {"Restart=always", "RestartSec=2"} <= set(sections["Service"])
    assert "StartLimitIntervalSec=0" in sections["Unit"]
    everything = [line for lines in sections.values() for line in lines]
    limits = ("StartLimit", "RestartSteps", "RestartPreventExitStatus", "SuccessAction", "FailureAction")
    assert [line for line in everything if line.startswith(limits)] == ["StartLimitIntervalSec=0"]


def test_systemd_waits_longer_than_supervisord(sections: dict[str, list[str]]) -> None:
    conf = (ROOT / "conf" / "supervisord.conf").read_text(encoding="utf-8")
    stops = [int(seconds) for seconds in re.findall(r"^stopwaitsecs=(\d+)", conf, re.MULTILINE)]
    assert len(stops) == conf.count("\n[program:")
    [timeout] = [int(line.partition("=")[2]) for line in sections["Service"] if line.startswith("TimeoutStopSec=")]
    assert timeout > sum(stops)


@pytest.fixture
def owners_machine(tmp_path: Path) -> Path:
    """A folder that looks like the owner's machine to systemd-analyze."""
    for program in (f"{OWNERS_ROOT}/.venv/bin/python", "/usr/sbin/runuser", "/usr/bin/mkdir"):
        file = tmp_path / program.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o755)
    (tmp_path / OWNERS_ROOT.lstrip("/") / "README.md").touch()
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    shutil.copy(UNIT, units)
    for name in ("basic.target", "sysinit.target", "shutdown.target", "network.target", "multi-user.target"):
        (units / name).write_text("[Unit]\nDescription=part of every machine\n")
    return tmp_path


@needs.mark("systemd")
def test_systemd_has_no_word_against_it(owners_machine: Path) -> None:
    done = analyze("verify", f"--root={owners_machine}", "pivision.service")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs.mark("systemd")
def test_it_is_locked_in() -> None:
    done = analyze("security", "--offline=true", "--no-pager", "--threshold=18", str(UNIT))  # tenths
    assert done.returncode == 0, done.stdout


def analyze(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60)
