"""Notices: each reaches a real HTTP server in the end, in order, whatever happens in between."""

import logging
import subprocess
from pathlib import Path

import pytest

from pivision.health.notices import KEPT, Notices
from pivision.history import Cause, Event, History
from tests.box import eventually, free_port
from tests.webhook import listening

LOG = logging.getLogger("health")


@pytest.fixture
def events(tmp_path: Path) -> list[Event]:
    told = History(tmp_path)
    return [told.add("server", Cause.HEALTH, f"reason {number}") for number in range(1, 4)]


def test_a_notice_says_what_happened_and_where(tmp_path: Path, events: list[Event]) -> None:
    with listening(port := free_port()) as webhook:
        Notices(tmp_path / "outbox", f"http://127.0.0.1:{port}/secret", LOG).put(events[0])
        taken = webhook.taken.get(timeout=10)
        assert taken["path"] == "/secret"
        assert (taken["number"], taken["program"], taken["cause"]) == (1, "server", "health")
        assert taken["box"]
        eventually(lambda: not list((tmp_path / "outbox").iterdir()), "it is no longer kept")


def test_notices_wait_for_the_other_side_and_outlive_health(tmp_path: Path, events: list[Event]) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}/"
    waiting = Notices(tmp_path / "outbox", url, LOG)
    for event in events:
        waiting.put(event)
    assert len(list((tmp_path / "outbox").iterdir())) == 3
    with listening(port, 500) as webhook:
        Notices(tmp_path / "outbox", url, LOG)
        taken: dict[int, None] = {}  # the first of the two is still there: a notice may come twice
        while len(taken) < len(events):
            taken.setdefault(webhook.taken.get(timeout=10)["number"])
        assert list(taken) == [1, 2, 3]


def test_the_log_does_not_tell_the_address(
    tmp_path: Path, events: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    url = f"http://user:password@localhost:{free_port()}/secret?key=secret"
    Notices(tmp_path / "outbox", url, LOG).put(events[0])
    eventually(lambda: "notices to localhost wait" in caplog.text, "one line says so")
    assert "secret" not in caplog.text
    assert "password" not in caplog.text


def test_the_outbox_is_bounded(tmp_path: Path) -> None:
    told = History(tmp_path)
    waiting = Notices(tmp_path / "outbox", f"http://127.0.0.1:{free_port()}/", LOG)
    for number in range(KEPT + 20):
        waiting.put(told.add("server", Cause.HEALTH, f"reason {number}"))
    names = sorted(file.name for file in (tmp_path / "outbox").iterdir())
    assert len(names) == KEPT
    assert names[-1] == f"{KEPT + 20:08}.json"


def test_without_an_address_nothing_is_kept(tmp_path: Path, events: list[Event]) -> None:
    Notices(tmp_path / "outbox", "", LOG).put(events[0])
    assert not (tmp_path / "outbox").exists()


def test_a_notice_that_was_redirected_still_waits(tmp_path: Path, events: list[Event]) -> None:
    with listening(port := free_port(), 302) as webhook:
        webhook.location = f"http://127.0.0.1:{port}/elsewhere"
        Notices(tmp_path / "outbox", f"http://127.0.0.1:{port}/", LOG).put(events[0])
        assert webhook.taken.get(timeout=10)["path"] == "/", "it is sent again, to where the owner said"
        assert [webhook.requests.get(timeout=1)[0] for _ in range(2)] == ["POST /"] * 2


def test_a_notice_is_signed_with_the_owners_secret(tmp_path: Path, events: list[Event]) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "notice-secret").write_text("a secret of the owner\n")
    with listening(port := free_port()) as webhook:
        Notices(tmp_path / "outbox", f"http://127.0.0.1:{port}/", LOG).put(events[0])
        _, headers, body = webhook.requests.get(timeout=10)
    expected = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", "a secret of the owner"],
        input=body,
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert headers["X-PiVision-Signature"] == f"sha256={expected.split()[-1]}"


def test_a_notice_that_cannot_be_read_for_a_moment_is_sent_later(
    tmp_path: Path, events: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    outbox = tmp_path / "outbox"
    with listening(port := free_port()) as webhook:
        (outbox / "00000000.json").mkdir(parents=True)  # what is in its place cannot be read
        Notices(outbox, f"http://127.0.0.1:{port}/", LOG).put(events[0])
        eventually(lambda: "wait: " in caplog.text, "it says so")
        (outbox / "00000000.json").rmdir()
        assert webhook.taken.get(timeout=10)["number"] == 1
