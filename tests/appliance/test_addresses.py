"""Whatever `host` is: it is served there, health asks there, and every command finds it there."""

import random
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivision.health.signs import Signs
from pivision.port import holder
from tests import needs
from tests.appliance.test_commands import pivision
from tests.box import Box, eventually, running_box

needs_root = needs.mark("root")


def link_local() -> Iterator[str]:
    """An address of IPv6 that is valid on one interface only."""
    for line in Path("/proc/net/if_inet6").read_text().splitlines():
        digits, _, _, scope, _, name = line.split()
        if scope == "20":
            yield socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)) + f"%{name}"


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("::", ["127.0.0.1", "127.0.0.2", "::1"]),
        ("0.0.0.0", ["127.0.0.1", "127.0.0.2"]),
        ("127.0.0.2", ["127.0.0.2"]),
        ("::1", ["::1"]),
        ("localhost", ["localhost"]),
        *((address, [address]) for address in list(link_local())[:1]),
    ],
)
def test_it_is_served_and_found_at_its_host(host: str, addresses: list[str]) -> None:
    with running_box(host=host, start=False) as box:
        box.address = addresses[0]
        box.start()
        for box.address in addresses:
            assert box.get("/readyz").status == 200, box.address
        assert Signs(host, box.port, box.run_dir).is_serving()
        for name in ("PIVISION_HOST", "PIVISION_PORT", "PIVISION_SUPERVISOR_PORT"):
            del box.environment[name]
        tasks = pivision(box.environment, "tasks")
        assert (tasks.returncode, tasks.stderr) == (0, ""), "a shell without the settings finds it"
        doctor = pivision(box.environment, "doctor").stdout
        assert f"{box.port} is held by PiVision itself" in doctor
        drill = pivision(box.environment, "drill", "--yes", "health-killed")
        assert drill.returncode == 0, drill.stderr
        assert f"listening at http://{'[' if ':' in host else ''}" in box.log("server")
        assert "kill" not in box.log("health")


def test_a_client_of_ipv4_is_known_by_its_own_address() -> None:
    """Limits count by address, and one of IPv4 must not have two."""
    with running_box(host="::") as box:
        wrong = {"Authorization": "Bearer wrong"}
        answers = [box.request("GET", "/v1/tasks", headers=wrong).status for _ in range(32)]
        assert answers[-1] == 429
        box.address = "::1"
        assert box.request("GET", "/v1/tasks", headers=wrong).status == 401, "another address"


def test_a_start_at_an_address_that_is_not_there_is_refused_in_one_line() -> None:
    for host, said in (("203.0.113.7", "is no address of this machine"), ("no-such-name.invalid", "is no known name")):
        with running_box(host=host, start=False) as box:
            run = pivision(box.environment, "run")
            assert (run.returncode, run.stdout) == (1, "")
            error, _remedy = run.stderr.splitlines()
            assert error.startswith(f"pivision: host: {host} {said}")
            assert "[config-invalid]" in error


@needs_root
def test_an_unattended_start_serves_once_the_address_is_there_and_kills_nobody_while_it_is_gone() -> None:
    host = f"203.0.113.{random.randrange(1, 255)}"

    def address(verb: str) -> None:
        subprocess.run(["ip", "address", verb, f"{host}/32", "dev", "lo"], check=True)

    with running_box(host=host, start=False) as box:
        box.address = host
        box.start(until_ready=False)
        eventually(lambda: f"{host} is no address of this machine" in box.log("health"), "health says why", 60)
        eventually(lambda: box.programs()["server"].state == "FATAL", "supervisord gives the server up", 60)
        address("add")
        try:
            eventually(lambda: box.get("/readyz").status == 200, "it serves", 60)
            eventually(lambda: has_seen(box, "RUNNING"), "health has seen it")
            pid = box.pid("server")
            address("del")
            seen = box.log("health").count("is no address of this machine")
            eventually(lambda: box.log("health").count("is no address of this machine") > seen, "health says why")
        finally:
            subprocess.run(["ip", "address", "replace", f"{host}/32", "dev", "lo"], check=True)
        try:
            eventually(lambda: box.get("/readyz").status == 200, "it serves again")
            assert box.pid("server") == pid
            assert "server: kill" not in box.log("health")
        finally:
            address("del")


def test_another_program_at_the_same_port_of_another_address_is_not_asked() -> None:
    with running_box(host="127.0.0.2", start=False) as box, socket.create_server(("127.0.0.1", box.port)):
        box.address = "127.0.0.2"
        box.start()
        assert Signs("127.0.0.2", box.port, box.run_dir).complaint(box.programs()["server"]) is None
        assert holder(box.port) is not None


def has_seen(box: Box, state: str) -> bool:
    report = box.get("/v1/system").json["health"]
    return bool(report) and {program["state"] for program in report["programs"]} == {state}
