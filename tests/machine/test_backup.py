"""Backup and restore as the owner types them, with Debian's own Python: on the same box, and on its successor."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.box import eventually
from tests.machine import root
from tests.machine.conftest import booted, install, sign_in
from tests.machine.machine import PROJECT, Machine
from tests.machine.root import Release, on_each_release

PICTURE = Path(__file__).parent.parent.joinpath("pictures", "code128-1.png").read_bytes()
FILE = "/var/tmp/pivision.tar"
COMMAND = ".venv/bin/python -m pivision"


@pytest.fixture(scope="module")
def machine(release: Release) -> Iterator[Machine]:
    """A machine on which all is on one disk: folders of a disk below it cannot be moved, and restore moves them."""
    with new_box(release) as machine:
        yield machine


@contextlib.contextmanager
def new_box(release: Release) -> Iterator[Machine]:
    """A machine on which the appliance has just been installed."""
    with booted(release=release) as machine:
        install(machine)
        sign_in(machine)
        yield machine


def work(machine: Machine, tasks: int = 3) -> list[int]:
    """Finish some tasks; their ids."""
    return [machine.finished(machine.post(PICTURE).json["id"])["id"] for _ in range(tasks)]


def restore(machine: Machine) -> str:
    """Stop the service, restore the backup, start the service again; what the command has said."""
    machine.types("sudo systemctl stop pivision", timeout=90)
    said = machine.types(f"{COMMAND} restore {FILE}").stdout
    machine.types("sudo systemctl start pivision", timeout=150)
    eventually(lambda: machine.get("/readyz").status == 200, "the appliance is ready", 60)
    return said


def assert_has(machine: Machine, tasks: list[int]) -> None:
    """The tasks are done, and their pictures can be had."""
    for task in tasks:
        assert machine.task(task)["state"] == "done"
        assert machine.request("GET", f"/v1/tasks/{task}/image").body == PICTURE


@on_each_release
def test_what_a_backup_holds_is_there_again_and_what_came_later_is_aside(machine: Machine) -> None:
    before = work(machine)
    said = machine.types(f"{COMMAND} backup {FILE}").stdout
    assert f"the tasks up to {before[-1]}, 1 pictures" in said
    (later,) = work(machine, 1)

    assert f"{PROJECT}/data/replaced/" in restore(machine)
    assert_has(machine, before)
    assert machine.get(f"/v1/tasks/{later}").status == 404
    assert machine.types("ls data/replaced/*/pivision.db").stdout
    assert machine.run("find", PROJECT, "!", "-user", "djg").stdout == ""
    assert work(machine, 1)[0] > before[-1]
    assert not failures(machine)


def test_a_box_moves_from_debian_12_to_13(machine: Machine) -> None:
    tasks = work(machine)
    machine.types(f"rm -f {FILE}; {COMMAND} backup {FILE}")
    packed = machine.files.joinpath(FILE.lstrip("/")).read_bytes()
    with new_box(root.TRIXIE) as successor:
        successor.run("tee", FILE, stdin=packed)
        restore(successor)
        assert_has(successor, tasks)
        assert work(successor, 1)[0] > tasks[-1]
        assert not failures(successor)


def failures(machine: Machine) -> list[str]:
    """What the doctor finds wrong."""
    said = json.loads(machine.types("sudo python3 -m pivision doctor --json", check=False).stdout)
    return [finding for finding in said["findings"] if finding["state"] == "failure"]
