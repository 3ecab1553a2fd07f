"""What can become of a database file on an SD card. What was acknowledged is done nevertheless."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.machine.conftest import booted, sign_in
from tests.machine.ledger import Ledger
from tests.machine.machine import PROJECT, Machine
from tests.machine.ordeal import Ordeal

DATABASE = f"{PROJECT}/data/pivision.db".lstrip("/")
TASKS = 200  # so that the file has a middle
LOCKER = f"""
import time, apsw
database = apsw.Connection("{PROJECT}/data/pivision.db")
database.set_busy_timeout(10_000)
database.execute("BEGIN IMMEDIATE")
time.sleep(60)
"""

Damage = Callable[[Path], None]


@pytest.fixture
def machine(installed: Path) -> Iterator[Machine]:
    """A machine for each test, with some work done."""
    with booted(installed) as machine:
        sign_in(machine)
        yield machine


@pytest.fixture
def ledger(machine: Machine) -> Ledger:
    """What this machine has acknowledged."""
    ledger = Ledger(machine)
    for _ in range(TASKS):
        ledger.post()
    return ledger


def truncated(database: Path) -> None:
    os.truncate(database, database.stat().st_size // 2)


def emptied(database: Path) -> None:
    os.truncate(database, 0)


def overwritten(database: Path) -> None:
    with database.open("r+b") as file:
        file.seek(database.stat().st_size // 2)
        file.write(os.urandom(16_384))


def without_wal(database: Path) -> None:
    database.with_name(database.name + "-wal").unlink()


@pytest.mark.parametrize("damage", [truncated, emptied, overwritten, without_wal])
def test_damaged_while_off(machine: Machine, ordeal: Ordeal, damage: Damage) -> None:
    with ordeal.fault():
        machine.pull_plug()
        damage(machine.disk / DATABASE)
        machine.switch_on()


@pytest.mark.parametrize("damage", [truncated, emptied, overwritten, without_wal])
def test_damaged_while_on(machine: Machine, ordeal: Ordeal, damage: Damage) -> None:
    with ordeal.fault():
        damage(machine.files / DATABASE)


def test_locked_for_a_minute(machine: Machine, ordeal: Ordeal) -> None:
    """Pictures are refused with 503 meanwhile; nobody is killed for it."""
    programs = ("server", "worker 1", "health")
    pids = [machine.pid(program) for program in programs]
    with ordeal.fault():
        machine.run("sudo", "-u", "djg", f"{PROJECT}/.venv/bin/python", "-c", LOCKER, timeout=90)
        assert machine.get("/healthz").status == 200
    assert [machine.pid(program) for program in programs] == pids
