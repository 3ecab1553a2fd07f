"""The doorbell: heard at once, and harmless when nobody is there."""

import threading
import time
from pathlib import Path

import pytest

from pivision import doorbell
from pivision.doorbell import MESSAGE_LIMIT_BYTES, Doorbell

PATIENCE_SECONDS = 60


@pytest.fixture
def path(run_dir: Path) -> Path:
    return run_dir / "test.bell"


def test_a_ring_ends_the_waiting(path: Path) -> None:
    bell = Doorbell(path)
    ringer = threading.Timer(0.05, doorbell.ring, (path, b"42"))
    started = time.monotonic()
    ringer.start()
    assert bell.wait(PATIENCE_SECONDS) == [b"42"]
    assert time.monotonic() - started < PATIENCE_SECONDS  # it was the ring, not the end of patience
    ringer.join()
    bell.close()


def test_rings_before_the_waiting_are_heard_all(path: Path) -> None:
    bell = Doorbell(path)
    for number in range(3):
        doorbell.ring(path, b"%d" % number)
    doorbell.ring(path)
    assert bell.wait(PATIENCE_SECONDS) == [b"0", b"1", b"2", b""]
    assert bell.wait(0) == []
    bell.close()


def test_no_ring_is_an_empty_answer(path: Path) -> None:
    bell = Doorbell(path)
    assert bell.wait(0.01) == []
    bell.close()


def test_ringing_where_nobody_listens_does_nothing(path: Path) -> None:
    doorbell.ring(path)
    bell = Doorbell(path)
    bell.close()
    doorbell.ring(path)  # the socket's file is still there
    path.unlink()
    path.write_text("no socket")
    doorbell.ring(path)


def test_a_bell_whose_process_was_killed_is_replaced(path: Path) -> None:
    Doorbell(path).close()
    bell = Doorbell(path)
    doorbell.ring(path, b"x")
    assert bell.wait(PATIENCE_SECONDS) == [b"x"]
    bell.close()


def test_more_rings_than_fit_neither_block_nor_fail(path: Path) -> None:
    bell = Doorbell(path)
    for number in range(5000):
        doorbell.ring(path, b"%d" % number)
    heard = bell.wait(PATIENCE_SECONDS)
    assert heard[0] == b"0"
    assert len(heard) < 5000
    bell.close()


def test_a_message_is_cut_at_its_limit(path: Path) -> None:
    bell = Doorbell(path)
    doorbell.ring(path, b"x" * 100)
    assert bell.wait(PATIENCE_SECONDS) == [b"x" * MESSAGE_LIMIT_BYTES]
    bell.close()


def test_each_has_a_bell_of_its_own(run_dir: Path) -> None:
    paths = {doorbell.worker_bell(run_dir, 1), doorbell.worker_bell(run_dir, 2), doorbell.server_bell(run_dir)}
    assert len(paths) == 3
