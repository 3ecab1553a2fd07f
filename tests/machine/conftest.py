"""What the tests on a booted machine share."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.box import eventually
from tests.machine import ordeal as ordeals
from tests.machine import root
from tests.machine.ledger import Ledger
from tests.machine.machine import PROJECT, Machine
from tests.machine.root import Release


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of faults, which have rows in docs/faults.md; skip all where no machine can be booted."""
    missing = root.what_is_missing()
    for item in items:
        if Path(__file__).parent in item.path.parents:
            if "ordeal" in getattr(item, "fixturenames", ()):
                item.add_marker("fault")
            if missing:
                item.add_marker(pytest.mark.skip(missing))


@contextlib.contextmanager
def booted(*disks: Path, release: Release = root.BOOKWORM, wheels: Path | None = None) -> Iterator[Machine]:
    """A machine that has booted, over Debian and these disks."""
    machine = Machine([*disks, root.debian(release)], wheels or root.wheels(release))
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
    machine.token = machine.types(".venv/bin/python -m pivision token make test").stdout.strip()


@pytest.fixture(scope="session")
def release(request: pytest.FixtureRequest) -> Release:
    """The Debian of the machine: 12, unless a test asks for others as test_backup.py does."""
    return getattr(request, "param", root.BOOKWORM)


@pytest.fixture(scope="session")
def installed(release: Release) -> Iterator[Path]:
    """The disk of a machine on which the appliance has been installed as the owner installs it."""
    with booted(release=release) as machine:
        install(machine)
        sign_in(machine)
        machine.power_off()
        yield machine.disk


@pytest.fixture(scope="module")
def machine(installed: Path, release: Release) -> Iterator[Machine]:
    """A machine with the appliance, for the tests of one file."""
    with booted(installed, release=release) as machine:
        sign_in(machine)
        yield machine


@pytest.fixture(scope="module")
def ledger(machine: Machine) -> Ledger:
    """What this machine has acknowledged."""
    return Ledger(machine)


@pytest.fixture
def ordeal(request: pytest.FixtureRequest, machine: Machine, ledger: Ledger) -> Iterator[ordeals.Ordeal]:
    """What this test puts the machine through; its row of the table says how long healing may take."""
    begun = ordeals.Ordeal(ordeals.rows()[name_of(request.node)], ledger)
    yield begun
    if begun.seen_seconds is None:  # the next test is not to fail for this one's reasons
        ledger.ids.clear()
        machine.pull_plug()
        machine.boot()
        sign_in(machine)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Keep with the test's report how long it took to heal, and what the machine has said when it did not."""
    used = getattr(item, "funcargs", {})
    try:
        yield
    except BaseException:
        if machine := used.get("machine"):
            item.add_report_section("call", "machine", machine.logs())
        raise
    if begun := used.get("ordeal"):
        item.user_properties.append(("seen_seconds", begun.seen_seconds))


def name_of(test: pytest.Item) -> str:
    """As docs/faults.md names it."""
    return f"{test.path.name}::{test.name}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table once more, with what was seen."""
    rows = ordeals.rows()
    for outcome in ("passed", "failed", "xfailed"):
        for report in terminalreporter.getreports(outcome):
            row = rows.get(report.nodeid.removeprefix("tests/machine/").partition("@")[0])
            if row and report.when == "call":
                seen = dict(report.user_properties).get("seen_seconds")
                took = "" if seen is None else f"{seen:.1f} s of {row.within_seconds:.0f}"
                terminalreporter.write_line(f"{outcome:8} {took:15} {row.fault}: {row.expected}")
