"""What systemd hears, on a socket like its own, and why a tree was started."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivision import heartbeat
from pivision.health import tree
from pivision.health.systemd import Systemd
from pivision.history import Cause, Event, History
from tests.unit.test_own_lack import no_descriptor_left


@pytest.fixture(params=["{folder}/notify", "@pivision-test-{folder}"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket as systemd listens on it: a file, or a name in the abstract namespace."""
    address = request.param.format(folder=tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + address[1:] if address.startswith("@") else address)
        listener.settimeout(5)
        yield listener, address


def test_systemd_hears_each_word(manager: tuple[socket.socket, str]) -> None:
    listener, address = manager
    systemd = Systemd({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"})
    assert systemd.is_watching
    systemd.ready()
    systemd.status("all well")
    systemd.well()
    systemd.restart_tree()
    heard = [listener.recv(100) for _ in range(4)]
    assert heard == [b"READY=1", b"STATUS=all well", b"WATCHDOG=1", b"WATCHDOG=trigger"]


def test_systemd_hears_when_no_descriptor_is_left(manager: tuple[socket.socket, str]) -> None:
    listener, address = manager
    systemd = Systemd({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"})
    with no_descriptor_left():
        systemd.well()
    assert listener.recv(100) == b"WATCHDOG=1"


def test_without_systemd_nobody_is_told() -> None:
    systemd = Systemd({})
    assert not systemd.is_watching
    systemd.ready()


def test_a_systemd_that_is_gone_ends_nothing(tmp_path: Path) -> None:
    Systemd({"NOTIFY_SOCKET": str(tmp_path / "gone")}).well()


HERE, BEFORE = "(this boot)", "11111111-1111-1111-1111-111111111111"


@pytest.mark.parametrize(
    ("last_boot_id", "note", "cause", "detail"),
    [
        (None, None, Cause.BOOT, "first start"),
        (BEFORE, f"{BEFORE} success exited 0", Cause.BOOT, "in order"),
        (BEFORE, None, Cause.BOOT, "without a shutdown"),
        (BEFORE, "22222222-1111-1111-1111-111111111111 success exited 0", Cause.BOOT, "without a shutdown"),
        (HERE, f"{HERE} success exited 0", Cause.OPERATOR, "in order"),
        (HERE, f"{HERE} watchdog killed KILL", Cause.WATCHDOG, "not fed"),
        (HERE, f"{HERE} signal killed KILL", Cause.SIGNAL, "killed KILL"),
        (HERE, f"{HERE} exit-code exited 2", Cause.EXIT, "exited 2"),
        (HERE, None, Cause.OPERATOR, "started"),
        (HERE, f"{BEFORE} watchdog killed KILL", Cause.OPERATOR, "started"),
        (HERE, "garbage", Cause.OPERATOR, "started"),
    ],
)
def test_why_everything_was_started(
    tmp_path: Path, last_boot_id: str | None, note: str | None, cause: Cause, detail: str
) -> None:
    def of(boot_id: str) -> str:
        return boot_id.replace(HERE, heartbeat.boot_id())

    last: Event | None = None
    if last_boot_id is not None:
        last = History(tmp_path).add("pivision", Cause.OPERATOR, "")._replace(boot_id=of(last_boot_id))
    if note is not None:
        (tmp_path / "last-end").write_text(of(note) + "\n")
    found = tree.why_it_started(tmp_path, last)
    assert found[0] is cause
    assert detail in found[1]
    if note != "garbage":
        assert not (tmp_path / "last-end").exists(), "it tells of one end only"


def test_what_systemd_says_at_the_end_is_found_at_the_next_start(tmp_path: Path) -> None:
    before = History(tmp_path).add("pivision", Cause.BOOT, "")
    tree.note_end(tmp_path, {"SERVICE_RESULT": "signal", "EXIT_CODE": "killed", "EXIT_STATUS": "KILL"})
    assert tree.why_it_started(tmp_path, before) == (Cause.SIGNAL, "supervisord ended: killed KILL")
