"""How programs ended, read from lines as supervisord 4.3.0 wrote them."""

from pathlib import Path

import pytest

from pivision.health import deaths
from pivision.health.deaths import Death, Deaths
from pivision.history import Cause

LINES = {
    "2026-11-22 15:46:31,190 WARN exited: server (terminated by SIGKILL; not expected)": (
        Death("server", "terminated by SIGKILL", False),
        Cause.SIGNAL,
    ),
    "2026-11-22 15:46:31,190 WARN exited: worker_1 (terminated by SIGALRM; not expected)": (
        Death("worker_1", "terminated by SIGALRM", False),
        Cause.DEADLINE,
    ),
    "2026-11-22 15:46:31,190 WARN exited: worker_1 (terminated by SIGSEGV (core dumped); not expected)": (
        Death("worker_1", "terminated by SIGSEGV (core dumped)", False),
        Cause.SIGNAL,
    ),
    "2026-11-22 15:46:31,190 WARN exited: server (exit status 1; not expected)": (
        Death("server", "exit status 1", False),
        Cause.EXIT,
    ),
    "2026-11-22 15:46:31,190 INFO exited: server (exit status 0; expected)": (
        Death("server", "exit status 0", False),
        Cause.EXIT,
    ),
    "2026-11-22 15:47:55,487 INFO stopped: server (exit status 0)": (
        Death("server", "exit status 0", True),
        Cause.OPERATOR,
    ),
    "2026-11-22 15:47:54,458 WARN stopped: health (terminated by SIGTERM)": (
        Death("health", "terminated by SIGTERM", True),
        Cause.OPERATOR,
    ),
}
OTHER_LINES = """\
2026-11-22 15:46:19,417 CRIT Server 'unix_http_server' running without any HTTP authentication checking
2026-11-22 15:46:20,421 INFO spawned: 'worker_1' with pid 119
2026-11-22 15:46:21,834 INFO success: worker_1 entered RUNNING state, process has stayed up for > than 1 seconds
2026-11-22 15:47:54,457 INFO waiting for worker_1, server, health to die
2026-11-22 15:47:54,457 INFO gave up: server entered FATAL state, too many start retries too quickly
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / deaths.LOG


@pytest.mark.parametrize("line", LINES)
def test_a_line_tells_of_a_death_and_its_cause(log: Path, tmp_path: Path, line: str) -> None:
    log.write_text(f"{OTHER_LINES}{line}\n{OTHER_LINES}")
    assert Deaths(tmp_path).new() == [LINES[line]]


def test_a_kill_for_want_of_memory() -> None:
    assert Death("worker_1", "terminated by SIGKILL", False).cause(is_memory_short=True) is Cause.MEMORY
    assert Death("worker_1", "terminated by SIGSEGV", False).cause(is_memory_short=True) is Cause.SIGNAL
    assert Death("worker_1", "exit status 1", False).cause(is_memory_short=True) is Cause.EXIT


def test_each_line_is_read_once_whoever_reads(log: Path, tmp_path: Path) -> None:
    first, second = list(LINES)[:2]
    log.write_text(first + "\n" + second[:50])
    reader = Deaths(tmp_path)
    assert reader.is_unread
    assert reader.new() == [LINES[first]]
    assert reader.new() == []
    with log.open("a") as file:
        file.write(second[50:] + "\n")
    successor = Deaths(tmp_path)
    assert not successor.is_unread
    assert successor.new() == [LINES[second]]


def test_no_log_is_no_news(tmp_path: Path) -> None:
    assert Deaths(tmp_path).new() == []


def test_a_large_log_is_cut_while_supervisord_goes_on_writing(log: Path, tmp_path: Path) -> None:
    line = next(iter(LINES))
    with log.open("ab") as supervisord:
        supervisord.write(OTHER_LINES.encode() * 3000)
        supervisord.flush()
        reader = Deaths(tmp_path)
        assert reader.new() == []
        assert log.stat().st_size == 0
        supervisord.write(f"{line}\n".encode())
        supervisord.flush()
        assert reader.new() == [LINES[line]]
    assert log.stat().st_size == len(line) + 1
