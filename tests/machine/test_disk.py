"""A disk that is full or cannot be written: what cannot be kept is refused, and all goes on once it can be."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance.pictures import photograph
from tests.box import eventually
from tests.machine.conftest import booted, sign_in
from tests.machine.machine import PROJECT, Machine
from tests.machine.ordeal import Ordeal

FSTAB = f"""\
tmpfs {PROJECT}/data tmpfs size=48M,uid=djg,gid=djg,mode=0700 0 0
tmpfs {PROJECT}/logs tmpfs size=16M,uid=djg,gid=djg,mode=0700 0 0
"""
REMOUNT = f"""
import ctypes, sys
libc = ctypes.CDLL(None)
fspick, fsconfig, at_fdcwd, set_flag, reconfigure = 433, 431, -100, 0, 7
filesystem = libc.syscall(fspick, at_fdcwd, b"{PROJECT}/data", 0)
assert libc.syscall(fsconfig, filesystem, set_flag, sys.argv[1].encode(), None, 0) == 0
assert libc.syscall(fsconfig, filesystem, reconfigure, None, None, 0) == 0
"""


@pytest.fixture(scope="module")
def machine(installed: Path) -> Iterator[Machine]:
    """With small filesystems for its data and its logs."""
    with booted(installed) as machine:
        machine.run("systemctl", "stop", "pivision")
        machine.run("tee", "-a", "/etc/fstab", stdin=FSTAB.encode())
        machine.run("mount", "--all")
        machine.types("echo 'disk_reserve_bytes = 8_000_000' > pivision.toml")
        machine.run("systemctl", "start", "pivision")
        sign_in(machine)
        yield machine


def test_data_full(machine: Machine, ordeal: Ordeal) -> None:
    with ordeal.fault():
        fill(machine, "data")
        eventually(lambda: machine.get("/readyz").status == 503, "it says that it is full")
        assert machine.get("/healthz").status == 200
        assert machine.get("/v1/tasks").status == 200
        empty(machine, "data")


def test_logs_full(machine: Machine, ordeal: Ordeal) -> None:
    """Nothing is missed but log lines: it is served while it lasts, even by a server that starts meanwhile."""
    server = machine.pid("server")
    with ordeal.fault(lambda: machine.pid("server") not in (0, server)):
        fill(machine, "logs")
        machine.signal("server", signal.SIGKILL)
    empty(machine, "logs")


def test_data_read_only(machine: Machine, ordeal: Ordeal) -> None:
    """As after a file system error at boot: it answers, refuses pictures, and goes on once the disk can be written."""
    with ordeal.fault():
        with read_only(machine):
            eventually(lambda: machine.get("/healthz").status == 200, "it answers", 20)
            assert machine.post(photograph()).status in (503, 507)
            eventually(lambda: machine.get("/readyz").status == 503, "it says that it is not ready", 30)


def fill(machine: Machine, folder: str) -> None:
    machine.run("dd", "if=/dev/zero", f"of={PROJECT}/{folder}/filler", "bs=4k", check=False)


def empty(machine: Machine, folder: str) -> None:
    machine.run("rm", f"{PROJECT}/{folder}/filler")


@contextlib.contextmanager
def read_only(machine: Machine) -> Iterator[None]:
    """Everything dies, and systemd starts it again on a disk that cannot be written."""
    machine.run("systemctl", "kill", "--signal=KILL", "pivision")
    eventually(lambda: remount(machine, "ro"), "the disk is read-only", 2)
    try:
        yield
    finally:
        assert remount(machine, "rw")


def remount(machine: Machine, flag: str) -> bool:
    """As the kernel does after an error: the file system itself, and not one of its mounts."""
    return machine.run("python3", "-c", REMOUNT, flag, check=False).returncode == 0
