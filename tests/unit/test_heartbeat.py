"""Signs of life: written whole, read whatever stands there, judged by a clock that nobody sets."""

import json
import os
import threading
from pathlib import Path

import pytest

from pivision import heartbeat
from pivision.heartbeat import IDLE_PROMISE_SECONDS, MARGIN_SECONDS, Heartbeat


def test_an_idle_sign(tmp_path: Path) -> None:
    before = heartbeat.boottime()
    heartbeat.beat(tmp_path, 3)
    beat = heartbeat.read(tmp_path, 3)
    assert beat is not None
    assert (beat.pid, beat.boot_id, beat.task_id, beat.deadline) == (os.getpid(), heartbeat.boot_id(), None, None)
    assert before + IDLE_PROMISE_SECONDS <= beat.due <= heartbeat.boottime() + IDLE_PROMISE_SECONDS
    assert beat.is_fresh()
    assert not beat.is_past_deadline()
    assert heartbeat.path(tmp_path, 3).name == "worker-3.json"


def test_a_sign_at_work_promises_the_deadline_and_a_margin(tmp_path: Path) -> None:
    heartbeat.beat(tmp_path, 1, task_id=42, deadline_seconds=100)
    beat = heartbeat.read(tmp_path, 1)
    assert beat is not None
    assert beat.deadline is not None
    assert beat.task_id == 42
    assert beat.due == beat.deadline + MARGIN_SECONDS
    assert 99 < beat.deadline - heartbeat.boottime() <= 100


@pytest.mark.parametrize(
    ("boot", "due_in", "deadline_in", "is_fresh", "is_past_deadline"),
    [
        ("this", 60, None, True, False),
        ("this", -1, None, False, False),
        ("this", 60, 50, True, False),
        ("this", 4, -1, True, True),
        ("this", -1, -6, False, True),
        ("another", 60, None, False, False),  # the clock counts from a boot, so that of another one says nothing
        ("another", 60, -1, False, False),
    ],
)
def test_how_a_sign_is_judged(
    boot: str, due_in: float, deadline_in: float | None, is_fresh: bool, is_past_deadline: bool
) -> None:
    now = heartbeat.boottime()
    boot_id = heartbeat.boot_id() if boot == "this" else "another"
    beat = Heartbeat(1, boot_id, now + due_in, None, None if deadline_in is None else now + deadline_in)
    assert (beat.is_fresh(), beat.is_past_deadline()) == (is_fresh, is_past_deadline)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"5", b'{"pid": 1}', b"\xff", b'{"pid":1,"x":2}'])
def test_whatever_else_stands_there_is_no_sign(tmp_path: Path, content: bytes) -> None:
    heartbeat.path(tmp_path, 1).parent.mkdir()
    heartbeat.path(tmp_path, 1).write_bytes(content)
    assert heartbeat.read(tmp_path, 1) is None


def test_no_file_is_no_sign(tmp_path: Path) -> None:
    assert heartbeat.read(tmp_path, 1) is None


def test_the_kernel_names_the_boot() -> None:
    assert heartbeat.boot_id().startswith(Path("/proc/sys/kernel/random/boot_id").read_text().strip() + "-")
    uptime_seconds = float(Path("/proc/uptime").read_text().split()[0])
    assert abs(heartbeat.boottime() - uptime_seconds) < 60


def test_a_reader_never_sees_half_a_sign(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    heartbeat.write_whole(file, ["a"] * 5000)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for letter in "ab":
                heartbeat.write_whole(file, [letter] * 5000)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            assert json.loads(file.read_bytes()) in (["a"] * 5000, ["b"] * 5000)
    finally:
        stop.set()
        writer.join()
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
