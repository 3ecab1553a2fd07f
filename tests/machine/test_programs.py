"""Any program is killed or frozen at any moment: another one takes its place, and nobody types a command."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.box import eventually
from tests.machine.conftest import booted, sign_in
from tests.machine.machine import SUPERVISORCTL, Machine
from tests.machine.ordeal import Ordeal

PROGRAMS = ("server", "worker 1", "worker 2", "health", "supervisord")


@pytest.fixture(scope="module")
def machine(installed: Path) -> Iterator[Machine]:
    """With two workers, however many cores this machine has."""
    with booted(installed) as machine:
        machine.types("printf 'workers = 2\\nstopped_seconds = 25\\n' > pivision.toml; sudo systemctl restart pivision")
        sign_in(machine)
        yield machine


@pytest.mark.parametrize("program", PROGRAMS)
def test_killed(machine: Machine, ordeal: Ordeal, program: str) -> None:
    killed = machine.pid(program)
    with ordeal.fault(lambda: machine.pid(program) not in (0, killed)):
        assert machine.signal(program, signal.SIGKILL) == killed


@pytest.mark.parametrize("program", PROGRAMS)
def test_frozen(machine: Machine, ordeal: Ordeal, program: str) -> None:
    frozen = machine.pid(program)
    with ordeal.fault(lambda: machine.pid(program) not in (0, frozen)):
        assert machine.signal(program, signal.SIGSTOP) == frozen


def test_restart_cut_short(machine: Machine, ordeal: Ordeal) -> None:
    """The line to the Pi breaks while a person restarts the server: it is stopped, and nobody starts it."""
    with ordeal.fault(lambda: machine.pid("server")):
        machine.signal("server", signal.SIGSTOP)  # so that stopping it takes its time
        machine.run("sh", "-c", f"timeout --signal=KILL 2 {SUPERVISORCTL} restart server", user="djg", check=False)
        eventually(lambda: "STOPPED" in status(machine, "server"), "the server is stopped")


def test_stopped_by_a_person(machine: Machine, ordeal: Ordeal) -> None:
    machine.types(f"{SUPERVISORCTL} stop worker:worker_2")
    with pytest.raises(AssertionError, match="not within"):
        eventually(lambda: "STOPPED" not in status(machine, "worker:worker_2"), "somebody starts it", 15)
    with ordeal.fault(lambda: "RUNNING" in status(machine, "worker:worker_2")):
        machine.types(f"{SUPERVISORCTL} start worker:worker_2")


def status(machine: Machine, program: str) -> str:
    """What supervisord says of a program."""
    return machine.types(f"{SUPERVISORCTL} status {program}", check=False).stdout
