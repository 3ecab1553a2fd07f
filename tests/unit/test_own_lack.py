"""What health itself lacks for a moment, a descriptor above all, says nothing of the others and loses nothing."""

import contextlib
import json
import os
import resource
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivision import heartbeat, history, why
from pivision.errors import FileUnreadable
from pivision.health.deaths import BOOKMARK, Deaths
from pivision.health.folders import Folders
from pivision.health.ladder import Ladder, Rung
from pivision.health.signs import Signs, Unknown
from pivision.history import Cause, History
from pivision.supervision import Program, Supervisor, Unreachable, is_own_lack
from tests.box import free_port

SERVER, WORKER = Program("server", "RUNNING", 1), Program("worker:worker_1", "RUNNING", os.getpid())


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Let everything that needs another descriptor fail in the block, in this process: EMFILE."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_server_that_cannot_be_asked_is_not_complained_of(tmp_path: Path) -> None:
    signs = Signs("127.0.0.1", free_port(), tmp_path)
    with no_descriptor_left(), pytest.raises(Unknown, match="Too many open files"):
        signs.complaint(SERVER)
    assert "no answer" in str(signs.complaint(SERVER)), "one that refuses the connection is"


def test_a_sign_of_life_that_cannot_be_read_is_not_missed(tmp_path: Path) -> None:
    signs = Signs("127.0.0.1", free_port(), tmp_path)
    heartbeat.beat(tmp_path, 1)
    with no_descriptor_left(), pytest.raises(Unknown, match="Too many open files"):
        signs.complaint(WORKER)
    assert signs.complaint(WORKER) is None
    heartbeat.path(tmp_path, 1).unlink()
    assert signs.complaint(WORKER) == "it has given no sign of life since it started"


def test_whether_the_port_is_held_is_not_guessed(tmp_path: Path) -> None:
    signs = Signs("127.0.0.1", free_port(), tmp_path)
    with no_descriptor_left():
        assert signs.obstacle() is None


def test_supervisord_is_told_from_ones_own_lack(run_dir: Path) -> None:
    supervisor = Supervisor(str(run_dir / "supervisor.sock"), timeout_seconds=0.2)

    def failure() -> Exception:
        with pytest.raises(Unreachable) as raised:
            supervisor.programs()
        return raised.value

    assert not is_own_lack(failure()), "there is no socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(run_dir / "supervisor.sock"))
        assert not is_own_lack(failure()), "nobody listens"
        listening.listen()
        assert not is_own_lack(failure()), "nobody answers"
        with no_descriptor_left():
            assert is_own_lack(failure())


def test_a_folder_that_cannot_be_looked_at_is_not_made_anew(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to("data")  # ELOOP
    assert Folders(tmp_path / "data", tmp_path, tmp_path).missing() == []


def test_the_history_is_waited_for(tmp_path: Path) -> None:
    History(tmp_path).add("server", Cause.EXIT, "exit status 1")
    with contextlib.ExitStack() as lack:
        lack.enter_context(no_descriptor_left())
        threading.Timer(0.3, lack.close).start()
        last = History(tmp_path).last
    assert last is not None
    assert last.number == 1, "numbers go on"


def test_a_history_that_cannot_be_read_is_not_told_as_empty(tmp_path: Path) -> None:
    History(tmp_path).add("server", Cause.EXIT, "exit status 1")
    with no_descriptor_left():
        with pytest.raises(OSError, match="Too many open files"):
            history.read(tmp_path)
        with pytest.raises(FileUnreadable):
            list(why.lines(tmp_path, 20))


def test_reboots_that_cannot_be_read_count_as_spent(tmp_path: Path) -> None:
    file = tmp_path / "ladder.json"
    file.write_text(json.dumps({"boot_id": heartbeat.boot_id(), "trees": 2, "last_tree": 0.0, "reboots": 1}))
    with no_descriptor_left():
        blind = Ladder(file, reboots_max=2, now=0)
    assert [blind.climb(now) for now in (10_000, 20_000, 30_000)] == [Rung.TREE] * 3
    file.unlink()
    file.write_text(json.dumps({"boot_id": heartbeat.boot_id(), "trees": 2, "last_tree": 0.0, "reboots": 1}))
    assert Ladder(file, reboots_max=2, now=0).climb(10_000) is Rung.REBOOT


def test_how_far_the_log_was_read_is_not_forgotten(tmp_path: Path) -> None:
    (tmp_path / BOOKMARK).write_text("17")
    with no_descriptor_left(), pytest.raises(OSError, match="Too many open files"):
        Deaths(tmp_path)
    assert not Deaths(tmp_path).is_unread
