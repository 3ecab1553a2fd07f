"""What happened to the box: kept over restarts of health, bounded, and readable whatever a power cut left."""

from pathlib import Path

import pytest

from pivision import heartbeat, history, why
from pivision.history import KEPT, Cause, History


def test_nothing_has_happened_yet(tmp_path: Path) -> None:
    assert history.read(tmp_path) == []
    assert History(tmp_path).last is None
    assert list(why.lines(tmp_path, 20)) == ["Nothing has been restarted yet."]


def test_events_outlive_who_wrote_them(tmp_path: Path) -> None:
    History(tmp_path).add("server", Cause.SIGNAL, "terminated by SIGKILL")
    History(tmp_path).add("worker_1", Cause.DEADLINE, "terminated by SIGALRM")
    events = history.read(tmp_path)
    assert [(event.number, event.program, event.cause) for event in events] == [
        (1, "server", Cause.SIGNAL),
        (2, "worker_1", Cause.DEADLINE),
    ]
    assert {event.boot_id for event in events} == {heartbeat.boot_id()}


def test_why_tells_them_newest_last(tmp_path: Path) -> None:
    told = History(tmp_path)
    for cause in (Cause.BOOT, Cause.SIGNAL, Cause.HEALTH):
        told.add("server", cause, f"because of {cause}")
    boot, *lines = why.lines(tmp_path, last=2)
    assert boot == f"--- boot {heartbeat.boot_id()[:8]}"
    assert [line.split()[1:3] for line in lines] == [["server", "signal"], ["server", "health"]]


def test_a_crash_loop_takes_few_lines(tmp_path: Path) -> None:
    told = History(tmp_path)
    for _ in range(1000):
        told.add("server", Cause.EXIT, "exit status 1")
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 10  # 1, 2, 4 … 512
    [event] = history.read(tmp_path)
    assert event.times == 512
    told.add("server", Cause.EXIT, "exit status 2")
    assert [event.detail for event in history.read(tmp_path)] == ["exit status 1", "exit status 2"]


def test_the_file_stays_small(tmp_path: Path) -> None:
    for _ in range(3):
        told = History(tmp_path)
        for number in range(KEPT):
            told.add("server", Cause.EXIT, f"exit status {number}")
    last = History(tmp_path).last
    assert last is not None
    assert last.number == 3 * KEPT, "numbers go on"
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == KEPT
    assert len(history.read(tmp_path)) == KEPT


@pytest.mark.parametrize("torn", [b'{"number": 2, "at"', b"\xff\x00\n", b"[]\n", b"{}\n", b'{"number": 2}\n'])
def test_a_torn_line_costs_no_other(tmp_path: Path, torn: bytes) -> None:
    History(tmp_path).add("server", Cause.EXIT, "exit status 1")
    with (tmp_path / "history.jsonl").open("ab") as file:
        file.write(torn)
    History(tmp_path).add("server", Cause.EXIT, "exit status 2")
    History(tmp_path).add("server", Cause.EXIT, "exit status 3")
    assert [event.detail[-1] for event in history.read(tmp_path)] == ["1", "2", "3"]


def test_a_missing_folder_does_not_end_the_healing(tmp_path: Path) -> None:
    told = History(tmp_path / "gone")
    assert told.add("server", Cause.EXIT, "exit status 1").number == 1
    assert told.add("health", Cause.EXIT, "exit status 1").number == 2
