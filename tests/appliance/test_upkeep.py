"""What somebody deletes under a running supervisord comes back, and no program is restarted for it."""

import shutil
from collections.abc import Iterator

import pytest

from tests.appliance.pictures import photograph
from tests.appliance.test_commands import pivision
from tests.box import Box, eventually, running_box


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with running_box() as running:
        eventually(lambda: {program.state for program in running.programs().values()} == {"RUNNING"}, "all run")
        yield running


def test_log_files_that_were_deleted_are_begun_anew(box: Box) -> None:
    pids = box.pids()
    logs = sorted(box.log_dir.glob("*.log"))
    assert len(logs) == 3
    for log in logs:
        log.unlink()
    eventually(lambda: all(log.exists() for log in logs), "the files are there again", 15)
    assert box.pids() == pids
    box.supervisorctl("restart", "server")
    eventually(lambda: "listening at" in box.log("server"), "what a program says stands in the new file")


def test_a_log_that_was_moved_away_is_begun_anew(box: Box) -> None:
    log = box.log_dir / "worker_1.log"

    def times_begun() -> int:
        return (box.run_dir / "supervisord.log").read_text().count("worker_1.log was gone")

    before = times_begun()
    log.rename(log.with_suffix(".old"))
    log.touch()
    eventually(lambda: times_begun() > before, "supervisord has seen it", 15)
    box.supervisorctl("restart", "worker:worker_1")
    eventually(log.read_text, "it is written to")


def test_the_socket_of_supervisord_comes_back(box: Box) -> None:
    pids = box.pids()
    (box.run_dir / "supervisor.sock").unlink()
    assert box.programs() == {}
    assert eventually(box.pids, "supervisord answers at a new socket", 15) == pids
    assert box.supervisorctl("status").returncode == 0
    health = box.run_dir / "health.json"
    seen = health.stat().st_mtime_ns
    box.supervisorctl("restart", "worker:worker_1")
    eventually(lambda: health.stat().st_mtime_ns > seen, "health asks at the new socket, too", 15)


def test_supervisords_own_log_comes_back_and_deaths_are_seen_in_it(box: Box) -> None:
    log = box.run_dir / "supervisord.log"
    log.unlink()
    eventually(log.exists, "it is there again", 15)
    before = len(box.get("/v1/system").json["restarts"])
    box.supervisorctl("signal", "KILL", "worker:worker_1")
    eventually(lambda: len(box.get("/v1/system").json["restarts"]) > before, "health has read of the death")


@pytest.mark.parametrize("folder", ["data_dir", "run_dir"])
def test_the_lock_comes_back(box: Box, folder: str) -> None:
    lock = getattr(box, folder) / "appliance.lock"
    lock.unlink()
    eventually(lock.exists, "it is there again", 15)
    eventually(lambda: "runs already" in pivision(box.environment, "run").stderr, "it is held")


def test_a_lock_that_cannot_be_taken_at_an_unattended_start_is_taken_later() -> None:
    """A disk that is full or read-only for a while: here a folder is in the place of the file."""
    with running_box(start=False) as late:
        obstacle = late.data_dir / "appliance.lock"
        obstacle.mkdir(parents=True)
        late.start()
        assert late.get("/readyz").status == 200
        obstacle.rmdir()
        eventually(obstacle.is_file, "it is there", 15)
        eventually(lambda: "runs already" in pivision(late.environment, "restore", "x.tar").stderr, "it is held")


def test_the_whole_run_folder_comes_back(box: Box) -> None:
    task = box.post(photograph(), "quality", wait=30).json["id"]
    token = box.run_dir / "secrets" / "tokens" / "test"
    eventually(token.exists, "health has a copy of the secrets")
    shutil.rmtree(box.run_dir)
    eventually(lambda: box.pids() and token.exists(), "supervisord answers, and the copy is there again", 30)
    eventually(lambda: box.get("/readyz").status == 200, "it is ready", 30)
    assert box.task(task)["state"] == "done"
    assert box.post(photograph(), "quality", wait=30).json["state"] == "done"
