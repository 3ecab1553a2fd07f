"""What a person and a stranger find at a running appliance: the programs, the web page, ports, files and secrets."""

import base64
import http.client
import os
import socket
from collections.abc import Iterator

import psutil
import pytest

from pivision.config import ROOT
from tests.appliance.pictures import photograph
from tests.box import Box, eventually, running_box


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    """It listens on every address, as it does by default, and has had good and bad visitors."""
    with running_box(host="0.0.0.0") as running:
        assert running.post(photograph(), "quality", wait=30).json["state"] == "done"
        assert running.get(f"/?token={running.token}").status == 303
        assert running.get(f"/nowhere?token={running.token}").status == 404
        assert running.post(photograph()[:1000]).status == 422
        assert running.get("/v1/tasks/x").status == 404
        eventually(lambda: running.get("/v1/system").json["health"], "health has looked")
        yield running


def web_password(box: Box) -> str:
    return (box.data_dir / "secrets" / "supervisor-web-password").read_text().strip()


def web_page(box: Box, password: str | None) -> int:
    """The status of supervisord's web page."""
    basic = base64.b64encode(f"pivision:{password}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", box.web_port, timeout=10)
    try:
        connection.request("GET", "/", headers={} if password is None else {"Authorization": f"Basic {basic}"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def test_supervisorctl_shows_every_program(box: Box) -> None:
    for name in ("server", "worker:worker_1", "health"):
        box.pid(name)
    status = box.supervisorctl("status")
    states = {line.split()[0]: line.split()[1] for line in status.stdout.splitlines()}
    assert states == {"server": "RUNNING", "worker:worker_1": "RUNNING", "health": "RUNNING"}
    assert status.returncode == 0


def test_the_web_page_asks_for_the_generated_password(box: Box) -> None:
    assert len(web_password(box)) >= 32
    assert web_page(box, None) == 401
    assert web_page(box, "pivision") == 401
    assert web_page(box, web_password(box)) == 200


def test_nothing_but_the_server_can_be_reached_from_another_machine(box: Box) -> None:
    listening = {
        connection.laddr
        for process in box.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
    }
    assert listening == {("0.0.0.0", box.port), ("127.0.0.1", box.web_port)}


def test_no_secret_stands_in_a_log_an_environment_or_a_command_line(box: Box) -> None:
    secrets = {box.token.encode(), web_password(box).encode()}
    places = {log: log.read_bytes() for log in [box.folder / "supervisord.log", *box.log_dir.iterdir()]}
    for process in box.processes():
        for name in ("environ", "cmdline"):
            file = ROOT.joinpath("/proc", str(process.pid), name)
            places[file] = file.read_bytes()
    assert len(places) == 1 + 3 + 4 * 2
    assert all(places.values()), "each place has something to look through"
    assert [place for place, content in places.items() for secret in secrets if secret in content] == []


def test_the_data_is_for_its_owner_alone(box: Box) -> None:
    paths = [box.data_dir, *box.data_dir.rglob("*")]
    assert {path.name for path in paths} >= {"pivision.db", "pivision.db-wal", "images", "tokens", *box.images()}
    modes = {path: path.stat().st_mode & 0o777 for path in paths}
    assert [path for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)] == []
    assert {path.stat().st_uid for path in paths} == {os.getuid()}
