"""Whoever is on the network, and whoever holds the port: the appliance answers, at the latest when they are gone."""

import contextlib
import http.client
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.appliance.pictures import qr_code
from tests.box import eventually
from tests.machine.machine import PROJECT, SUPERVISORCTL, Machine
from tests.machine.ordeal import Ordeal


def test_port_taken_and_freed(machine: Machine, ordeal: Ordeal) -> None:
    with ordeal.fault():
        machine.run("systemctl", "kill", "--signal=KILL", "pivision")
        with contextlib.closing(eventually(lambda: port_taken(machine), "another program holds the port")):
            eventually(lambda: "another program holds port" in health(machine), "health has seen it", 60)


def test_slowloris(machine: Machine, ordeal: Ordeal) -> None:
    attack = "slowhttptest -H -c 400 -r 400 -i 5 -l 120 -u http://127.0.0.1:8080/v1/tasks"
    with subprocess.Popen([*machine.inside(), *attack.split()], stdout=subprocess.DEVNULL) as attacker:
        try:
            with ordeal.fault():  # one address has 128 of them, and more make room for each other
                eventually(lambda: connections(machine) > 100, "the attack has begun")
            assert attacker.poll() is None, "served while attacked"
        finally:
            machine.run("pkill", "slowhttptest", check=False)


@pytest.mark.parametrize("idle", [500, 1000])
def test_idle_connections(machine: Machine, ordeal: Ordeal, idle: int) -> None:
    with contextlib.ExitStack() as stack:
        with ordeal.fault(), machine.network():
            for _ in range(idle):
                stack.enter_context(socket.create_connection(("127.0.0.1", 8080), timeout=10))


def test_waiting_requests(machine: Machine, ordeal: Ordeal) -> None:
    """Nobody works, fifty wait for a result: health and new pictures have their threads nevertheless."""
    with ordeal.fault():
        with workers_stopped(machine), contextlib.ExitStack() as stack:
            acknowledged = len(ordeal.ledger.ids)
            for _ in range(50):
                connection = stack.enter_context(contextlib.closing(machine.connection(timeout=70)))
                request(connection, machine.token)
            eventually(lambda: len(ordeal.ledger.ids) > acknowledged + 10, "pictures are taken meanwhile", 10)
            assert machine.get("/healthz").status == 200


@contextlib.contextmanager
def workers_stopped(machine: Machine) -> Iterator[None]:
    """By a person, who starts them again."""
    machine.types(f"{SUPERVISORCTL} stop worker:")
    yield
    machine.types(f"{SUPERVISORCTL} start worker:")


def request(connection: http.client.HTTPConnection, token: str) -> None:
    """A picture whose result is waited for; the answer is not read."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "image/png"}
    connection.request("POST", "/v1/tasks?operations=codes&wait=60", qr_code("waiting"), headers)


def port_taken(machine: Machine) -> socket.socket | None:
    """A listener on the appliance's port that accepts nothing; None while the port is held."""
    with machine.network(), contextlib.suppress(OSError):
        return socket.create_server(("0.0.0.0", 8080))
    return None


def connections(machine: Machine) -> int:
    return machine.run("ss", "-Hnt", "state", "established", "sport", "=", ":8080").stdout.count("\n")


def health(machine: Machine) -> str:
    return machine.run("tail", "--lines=20", f"{PROJECT}/logs/health.log").stdout
