"""`make test`, as README says it, by an ordinary user with Debian's own Python: alone, and beside the service."""

import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine import root
from tests.machine.conftest import booted, install
from tests.machine.machine import ENDS_WITH_US, ENVIRONMENT, PROJECT
from tests.machine.root import Release
from tests.needs import LACK

pytestmark = pytest.mark.skipif(bool(root.what_is_missing()), reason=str(root.what_is_missing()))

SECONDS = 1500
LACKING = "root chromium axe-core prometheus strace models photographs"
"""What these machines lack, and a run of all tests elsewhere has."""

LOOK_AT_THE_MACHINE = "tests/unit tests/appliance/test_doctor.py tests/appliance/test_commands.py"
"""The tests that a service beside them could disturb: those that read /run, /etc, the ports, or the checkout."""

_IN_MINIMAL_DEBIAN = f"""
    mkdir -p /run/systemd/nspawn
    mount -t tmpfs tmpfs /run/systemd/nspawn
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/disk,workdir=$2/work" "$2/root"
    exec systemd-nspawn --quiet --directory="$2/root" --register=no --keep-unit --private-network --as-pid2 --pipe \\
        --user=djg --chdir=/home/djg --bind-ro="$3":/wheels sh -ec "mkdir -p {PROJECT}; cd {PROJECT}; tar -x; $4"
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a machine without systemd writes; not in /tmp, which may be an overlay itself."""
    with tempfile.TemporaryDirectory(prefix="pivision-debian-", dir="/var/tmp") as name:
        for part in ("disk", "work", "root"):
            Path(name, part).mkdir()
        yield Path(name)


def announcing(lacking: str, command: str) -> str:
    """Return a line of shell with which a skip for lack of something else fails the run."""
    return f"export CI=true {LACK}={shlex.quote(lacking)}; {command}"


def assert_passed(done: "subprocess.CompletedProcess[str]", begun: float) -> None:
    """Show how it ended and how long it took; on failure, also what failed."""
    lines = done.stdout.splitlines()
    print(f"{time.monotonic() - begun:.0f} s: {lines[-1]}")
    assert done.returncode == 0, "\n".join(lines[-400:])


def test_a_minimal_debian_12(folder: Path) -> None:
    """README's packages and nothing else: no systemd, no git, no library that OpenCV's windows need."""
    release, begun = root.BOOKWORM, time.monotonic()
    parts = str(root.minimal(release)), str(folder), str(root.wheels_for_tests(release))
    line = announcing(f"{LACKING} systemd", "make test")
    done = subprocess.run(
        [*ENDS_WITH_US, "sh", "-ec", _IN_MINIMAL_DEBIAN, "sh", *parts, line],
        env={**ENVIRONMENT, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        input=root.project(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
    )
    text = done.stdout.decode(errors="replace")
    assert_passed(subprocess.CompletedProcess(done.args, done.returncode, text), begun)


@pytest.mark.parametrize(
    ("release", "command"),
    [
        pytest.param(root.TRIXIE, "make test", id="13"),
        pytest.param(
            root.BOOKWORM,
            f"make .venv/installed-dev && .venv/bin/python -m pytest --numprocesses=2 {LOOK_AT_THE_MACHINE}",
            id="12",
        ),
    ],
)
def test_beside_the_service(release: Release, command: str) -> None:
    begun = time.monotonic()
    with booted(release=release, wheels=root.wheels_for_tests(release)) as machine:
        install(machine)
        before = machine.run("systemctl", "show", "--property=MainPID,NRestarts", "pivision").stdout
        assert_passed(machine.types(announcing(LACKING, command), check=False, timeout=SECONDS), begun)
        assert machine.run("systemctl", "show", "--property=MainPID,NRestarts", "pivision").stdout == before
