"""One appliance for each data folder, and no program that outlives its supervisord."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pivision import owner, tokens
from pivision.config import ROOT
from tests.appliance.test_commands import pivision
from tests.box import Box, eventually, free_port, is_alive, running_box


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    """An appliance that was started in a terminal."""
    with running_box(start=False) as running:
        running.start(unattended=False)
        yield running


def beside(box: Box, **other: object) -> dict[str, str]:
    """The environment for a second start with some settings of its own."""
    mine = {"port": free_port(), "supervisor_port": free_port(), **other}
    return {**box.environment, **{f"PIVISION_{name.upper()}": str(value) for name, value in mine.items()}}


def kept(box: Box) -> dict[Path, bytes]:
    """What a second start must not change."""
    return {file: file.read_bytes() for file in (box.data_dir / "secrets").rglob("*") if file.is_file()}


@pytest.mark.parametrize("other", [("run_dir",), ("data_dir",), ("run_dir", "log_dir"), ()])
def test_a_second_start_says_where_the_first_one_runs(box: Box, tmp_path: Path, other: tuple[str, ...]) -> None:
    before, folders = kept(box), {name: tmp_path / name for name in other}
    second = pivision(beside(box, **folders), "run")
    assert second.returncode != 0
    assert second.stdout == ""
    error, _remedy = second.stderr.splitlines()
    assert error.startswith(f"pivision: runs already, at http://127.0.0.1:{box.port} (pid ")
    assert kept(box) == before
    assert box.get("/v1/tasks").status == 200, "its tokens stay valid"
    assert not (tmp_path / "log_dir").exists(), "nothing is made before the lock is met"


def test_a_restore_meets_the_lock_from_another_run_folder(box: Box, tmp_path: Path) -> None:
    restored = pivision(beside(box, run_dir=tmp_path / "run"), "restore", str(tmp_path / "backup.tar"))
    assert restored.stderr.startswith(f"pivision: runs already, at http://127.0.0.1:{box.port} (pid ")


def test_the_owners_token_stays_over_a_restart() -> None:
    with running_box(start=False) as box:
        seen = []
        for _ in range(2):
            box.start(unattended=False)
            token = owner.token_file(box.data_dir / "secrets").read_text().strip()
            assert box.request("GET", "/v1/tasks", headers={"Authorization": f"Bearer {token}"}).status == 200
            seen.append(token)
            box.stop()
        assert seen[0] == seen[1]
        tokens.remove(box.data_dir / "secrets", owner.NAME)
        assert owner.token(box.data_dir / "secrets") != seen[0], "one that was revoked is not used again"


def test_an_unattended_start_waits_for_the_first_one_to_end() -> None:
    with running_box() as box:
        command = [sys.executable, "-m", "pivision", "run", "--unattended"]
        second = subprocess.Popen(command, env=beside(box), cwd=ROOT, stderr=subprocess.PIPE, text=True)
        try:
            assert second.stderr is not None
            line = second.stderr.readline()
            assert f"runs already, at http://127.0.0.1:{box.port}" in line
            first = box.pids()
            box.stop()
            eventually(lambda: set(box.pids()) and not set(box.pids()) & set(first), "the second one has its programs")
        finally:
            second.terminate()
            second.communicate(timeout=45)


def test_the_locks_outlive_a_reload_but_not_supervisord() -> None:
    with running_box() as box:
        assert box.process is not None
        box.process.send_signal(signal.SIGHUP)
        eventually(lambda: box.log("supervisord").count("supervisord started") == 2, "supervisord has started again")
        assert "runs already" in pivision(beside(box), "run").stderr
        eventually(lambda: box.get("/readyz").status == 200, "the programs run again")
        pids = box.pids()
        box.process.kill()
        box.process.wait()
        eventually(lambda: not any(map(is_alive, pids)), "every program has ended", 10)
        box.start()


def test_programs_end_with_a_supervisord_that_dies_while_they_import() -> None:
    with running_box(start=False) as box:
        box.start(until_ready=False)
        assert box.process is not None
        root = psutil.Process(box.process.pid)

        def programs() -> list[int]:
            found = [child for child in root.children() if any("pivision." in word for word in child.cmdline())]
            return [child.pid for child in found] if len(found) == 3 else []

        pids = eventually(programs, "supervisord has started its programs")
        os.kill(root.pid, signal.SIGKILL)
        box.process.wait()
        eventually(lambda: not any(map(is_alive, pids)), "every program has ended", 20)
        box.process = None
