"""Somebody deletes a folder that everything lives in, or a program writes without end."""

import signal

from tests.box import eventually
from tests.machine.machine import PROJECT, Machine
from tests.machine.ordeal import Ordeal

MB = 1_000_000


def test_logs_deleted(machine: Machine, ordeal: Ordeal) -> None:
    """The folder must be there before the server can be started: supervisord opens its log first."""
    server = machine.pid("server")
    with ordeal.fault(lambda: machine.pid("server") not in (0, server) and is_file(machine, "logs/server.log")):
        machine.run("rm", "--recursive", f"{PROJECT}/logs")
        machine.signal("server", signal.SIGKILL)


def test_log_flood(machine: Machine, ordeal: Ordeal) -> None:
    """The server writes 20 MB: neither its own logs nor the journal grow with it."""
    journal = size_bytes(machine, "/var/log/journal")
    pid = machine.pid("server")
    with ordeal.fault():
        machine.run("sh", "-c", f"yes 'what a flood this is' | head --bytes=20000000 > /proc/{pid}/fd/1", timeout=120)
        assert size_bytes(machine, f"{PROJECT}/logs") < 10 * MB
        assert size_bytes(machine, "/var/log/journal") < journal + 10 * MB


def test_data_deleted(machine: Machine, ordeal: Ordeal) -> None:
    """With the tokens, of which health keeps a copy."""
    copied = ("test", "-f", "/run/pivision/secrets/tokens/test")
    eventually(lambda: machine.run(*copied, check=False).returncode == 0, "health has copied the token", 10)
    with ordeal.fault(lambda: is_file(machine, "data/pivision.db")):
        # More than once: a program that comes back while rm is still at it makes its folders anew.
        delete = ("rm", "--recursive", f"{PROJECT}/data")
        eventually(lambda: machine.run(*delete, check=False).returncode == 0, "the data folder is deleted", 10)


def is_file(machine: Machine, name: str) -> bool:
    return machine.run("test", "-f", f"{PROJECT}/{name}", check=False).returncode == 0


def size_bytes(machine: Machine, folder: str) -> int:
    return int(machine.run("du", "--bytes", "--summarize", folder).stdout.split()[0])
