"""The names by which the box may be spoken to: none that anybody can lead to it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivision.api.hosts import own_names
from tests.api.conftest import Api, assert_problem, serving


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    """A server that was given two names."""
    with serving(host_names="Pi.example.org, box.example.org") as api:
        yield api


def test_own_names_stand_in_the_hosts_file(tmp_path: Path) -> None:
    mine = os.uname().nodename.lower()
    (tmp_path / "hosts").write_text(
        f"127.0.0.1 localhost ads.example\n127.0.1.1 {mine}.example.net {mine} # x.example\n\n"
    )
    assert own_names(tmp_path / "hosts") == {mine, f"{mine}.example.net"}
    assert own_names(tmp_path / "nothing") == {mine}


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "192.168.1.2:8080",
        "[::1]",
        "[fe80::1]:8080",
        "localhost:8080",
        "LOCALHOST",
        "raspberrypi",
        "raspberrypi.local:8080",
        "raspberrypi.local.",
        "pi.lan",
        "pi.x.internal",
        "pi.home.arpa",
        "pi.example.org",
        "PI.EXAMPLE.ORG:80",
        "box.example.org.",
        os.uname().nodename,
    ],
)
def test_these_lead_in(api: Api, host: str) -> None:
    assert api.request("GET", "/v1/tasks", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "evil.pi.example.org",
        "evil.example:8080",
        "local.example",
        "127.0.0.1.example",
        "pi.local.example",
        "localhost.example",
    ],
)
@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/tasks", "/session", "/nothing"])
def test_these_do_not(api: Api, path: str, host: str) -> None:
    assert_problem(api.request("GET", path, headers={"Host": host}), 421, "host-unknown")


@pytest.mark.parametrize(
    "host",
    [
        "pi.local, evil.example",
        "evil.example:8080:80",
        "[evil.example]",
        "pi.local@evil.example",
        "evil.example#.local.x",
        "",
    ],
)
def test_what_is_no_host_is_refused_before_anything_is_looked_at(api: Api, host: str) -> None:
    answer = api.request("GET", "/healthz", headers={"Host": host})
    assert_problem(answer, 400, "invalid-request")
    assert answer.headers["Connection"] == "close"


def test_a_token_in_the_address_begins_no_session_there(api: Api) -> None:
    answer = api.request("GET", f"/?token={api.token}", headers={"Host": "evil.example"})
    assert_problem(answer, 421, "host-unknown")
    assert "Set-Cookie" not in answer.headers


def test_no_name_leads_in_too(api: Api) -> None:
    for line in (b"HTTP/1.0\r\n", b"HTTP/1.0\r\nHost:\r\n"):
        (answer,) = api.raw(b"GET /healthz " + line + b"\r\n")
        assert answer.status == 200
