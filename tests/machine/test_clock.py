"""The clock jumps by a year while everything runs, as it does on a Pi once it has found the time.

A container has the clock of its host, which no test may set: the appliance alone is given another one, by libfaketime
under each of its processes. systemd and the kernel's own clocks go on as they were.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.box import eventually
from tests.machine.conftest import booted, sign_in
from tests.machine.machine import Machine
from tests.machine.ordeal import Ordeal

_DROP_IN = """\
[Service]
Environment=LD_PRELOAD={library}
Environment=FAKETIME_TIMESTAMP_FILE=/etc/faketimerc FAKETIME_NO_CACHE=1
Environment=FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_DISABLE_SHM=1
"""


@pytest.fixture(scope="module")
def machine(installed: Path) -> Iterator[Machine]:
    """Whose appliance takes the time of day from /etc/faketimerc."""
    with booted(installed) as machine:
        library = machine.run("sh", "-c", "ls /usr/lib/*/faketime/libfaketimeMT.so.1").stdout.strip()
        jump(machine, 0)
        folder = "/etc/systemd/system/pivision.service.d"
        machine.run("mkdir", "--parents", folder)
        machine.run("tee", f"{folder}/clock.conf", stdin=_DROP_IN.format(library=library).encode())
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "pivision", timeout=150)
        sign_in(machine)
        yield machine


@pytest.mark.parametrize("days", [365, -365])
def test_clock_set(machine: Machine, ordeal: Ordeal, days: int) -> None:
    before = created_at(machine, ordeal.ledger.post())
    with ordeal.fault():
        jump(machine, days)
        eventually(lambda: created_at(machine, ordeal.ledger.post())[:4] != before[:4], "its tasks are of another year")
    jump(machine, 0)


def jump(machine: Machine, days: int) -> None:
    """Set the appliance's clock that far from the right time."""
    machine.run("tee", "/etc/faketimerc", stdin=f"{days:+}d\n".encode())


def created_at(machine: Machine, task_id: int) -> str:
    return str(machine.task(task_id)["created_at"])
