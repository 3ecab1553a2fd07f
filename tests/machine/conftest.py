"""What the tests on a booted machine share."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.box import eventually
from tests.machine import root
from tests.machine.machine import PROJECT, Machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where no machine can be booted, the tests say what is missing."""
    here = Path(__file__).parent
    if missing := root.what_is_missing():
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(missing))


@contextlib.contextmanager
def booted(*disks: Path) -> Iterator[Machine]:
    """A machine that has booted, over Debian and these disks."""
    machine = Machine([*disks, root.debian()])
    try:
        machine.boot()
        yield machine
    except BaseException:
        print(machine.logs())
        raise
    finally:
        machine.close()


def install(machine: Machine) -> None:
    """What README.md says, typed by the owner."""
    machine.run("mkdir", "--parents", PROJECT, user="djg")
    machine.run("tar", "--extract", f"--directory={PROJECT}", user="djg", stdin=root.project())
    machine.types("sudo make install", timeout=600)


def sign_in(machine: Machine) -> None:
    """Wait until the appliance is ready and take a token that lasts."""
    eventually(lambda: machine.get("/readyz").status == 200, "the appliance is ready", 60)
    machine.token = machine.types(".venv/bin/python -m pivision token test").stdout.strip()


@pytest.fixture(scope="session")
def installed() -> Iterator[Path]:
    """The disk of a machine on which the appliance has been installed as the owner installs it."""
    with booted() as machine:
        install(machine)
        sign_in(machine)
        machine.power_off()
        yield machine.disk


@pytest.fixture(scope="module")
def machine(installed: Path) -> Iterator[Machine]:
    """A machine with the appliance, for the tests of one file."""
    with booted(installed) as machine:
        sign_in(machine)
        yield machine
