"""What happens to the database of a running appliance: it serves again by itself, and no acknowledged task is lost."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from pivision import tokens
from tests import needs
from tests.appliance.pictures import qr_code
from tests.appliance.test_commands import pivision
from tests.box import Box, eventually, running_box

RECOVERED_SECONDS = 30.0
TASKS = 30


def taken(box: Box, count: int, start: int = 0) -> dict[int, str]:
    """Send pictures; the ids that were acknowledged, and the text in each picture."""
    told = {}
    for number in range(start, start + count):
        answer = box.post(qr_code(f"picture {number}"))
        assert answer.status == 201, answer.body
        told[answer.json["id"]] = f"picture {number}"
    return told


def taken_however_long(box: Box, count: int, start: int) -> dict[int, str]:
    """The same, by a client that repeats what was not acknowledged."""
    told = {}
    for number in range(start, start + count):
        headers = {"Idempotency-Key": f"key {number}", "Content-Type": "image/png"}

        def is_taken(number: int = number, headers: dict[str, str] = headers) -> int | None:
            with contextlib.suppress(OSError):
                answer = box.request("POST", "/v1/tasks?operations=codes", qr_code(f"picture {number}"), headers)
                assert answer.status in (201, 503), answer.body
                return answer.json["id"] if answer.status == 201 else None
            return None

        told[eventually(is_taken, f"picture {number} is taken", RECOVERED_SECONDS)] = f"picture {number}"
    return told


def assert_all_done(box: Box, told: dict[int, str]) -> None:
    eventually(lambda: box.get("/readyz").status == 200, "it is ready again", RECOVERED_SECONDS)
    for task_id, text in told.items():
        task = box.finished(task_id)
        assert task["state"] == "done", task
        assert [code["text"] for code in task["result"]["codes"]["codes"]] == [text]
    assert box.supervisorctl("status").returncode == 0


def checkpoint(file: Path) -> None:
    """Write the -wal back, so that the file itself holds what is then damaged."""
    with contextlib.closing(apsw.Connection(str(file))) as connection:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def recovery(box: Box) -> dict[str, object]:
    found = box.get("/v1/system").json["recovery"]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def box() -> Iterator[Box]:
    with running_box() as running:
        yield running


@pytest.fixture
def database(box: Box) -> Path:
    return box.data_dir / "pivision.db"


def test_a_database_overwritten_in_the_middle_while_it_is_in_use(box: Box, database: Path) -> None:
    told = taken(box, TASKS)
    assert_all_done(box, told)
    box.supervisorctl("stop", "worker:worker_1")
    told |= taken(box, TASKS, TASKS)
    checkpoint(database)
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(database.stat().st_size - 2 * 4096))

    told |= taken_however_long(box, 5, 2 * TASKS)
    eventually(lambda: box.get("/v1/tasks?limit=200").status == 200, "it answers again", RECOVERED_SECONDS)
    box.supervisorctl("start", "worker:worker_1")

    assert_all_done(box, told)
    found = recovery(box)
    assert "damaged" in str(found["cause"]) or "malformed" in str(found["cause"])
    assert (box.data_dir / str(found["old_file"])).exists()


@pytest.mark.parametrize("kind", ["zero bytes", "foreign", "cut off", "-wal deleted", "all deleted but the images"])
def test_a_database_damaged_while_the_appliance_is_off(box: Box, database: Path, kind: str) -> None:
    told = taken(box, TASKS)
    assert_all_done(box, told)
    box.supervisorctl("stop", "worker:worker_1")
    told |= taken(box, TASKS, TASKS)
    for process in box.processes():  # as a pulled plug would: nothing is written back
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    assert box.process
    box.process.wait()
    box.process = None
    match kind:
        case "zero bytes":
            database.write_bytes(b"")
        case "foreign":
            database.write_bytes(b"something else" * 1000)
        case "cut off":
            os.truncate(database, database.stat().st_size // 2 + 100)
        case "-wal deleted":
            database.with_name("pivision.db-wal").unlink()
        case _:
            for file in box.data_dir.glob("pivision.db*"):
                file.unlink()

    box.start(until_ready=False)
    assert_all_done(box, told)
    if kind != "cut off":  # else the -wal may make up for it
        assert recovery(box)["not_recovered"] == 0


def test_a_wal_deleted_while_it_is_in_use(box: Box, database: Path) -> None:
    told = taken(box, TASKS)
    database.with_name("pivision.db-wal").unlink()
    told |= taken_however_long(box, TASKS, TASKS)
    assert_all_done(box, told)
    assert box.get("/v1/system").json["tasks"]["quarantined"] == 0


def test_a_data_folder_deleted_while_it_is_in_use(box: Box) -> None:
    """The pictures are gone, and with them what waited; what was done is still there."""
    done = taken(box, TASKS)
    assert_all_done(box, done)
    before = {task_id: box.task(task_id) for task_id in done}
    box.supervisorctl("stop", "worker:worker_1")
    waiting = taken(box, 5, TASKS)
    shutil.rmtree(box.data_dir)
    eventually(lambda: (box.data_dir / "recovery.json").exists(), "the database is recovered", RECOVERED_SECONDS)
    box.token = tokens.create(box.data_dir / "secrets", "test")
    box.supervisorctl("start", "worker:worker_1")

    eventually(lambda: box.get("/readyz").status == 200, "it is ready again", RECOVERED_SECONDS)
    assert {task_id: box.task(task_id) for task_id in done} == before
    for task_id in waiting:
        task = box.task(task_id)
        assert (task["state"], task["error"]["code"]) == ("quarantined", "image-lost")
    assert recovery(box)["quarantined"] == len(waiting)
    assert not (box.run_dir / "rescued.db").exists()
    again = taken(box, 5, 2 * TASKS)
    assert min(again) > max(waiting)
    assert_all_done(box, again)


def test_a_database_locked_longer_than_the_timeout() -> None:
    with running_box(database_timeout_seconds=1) as box:
        told = taken(box, 5)
        assert_all_done(box, told)
        pids = [box.pid("server"), box.pid("worker:worker_1")]
        with contextlib.closing(apsw.Connection(str(box.data_dir / "pivision.db"))) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = box.post(qr_code("refused"))
            assert (answer.status, answer.json["code"]) == (503, "database-busy")
            assert box.get("/healthz").status == 200
            other.execute("ROLLBACK")
        assert_all_done(box, told | taken_however_long(box, 5, 5))
        assert [box.pid("server"), box.pid("worker:worker_1")] == pids, "nobody ended for that"
        assert box.get("/v1/system").json["recovery"] is None


def test_a_backup_made_while_it_serves_is_restored_on_another_box(tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    with running_box() as box, ThreadPoolExecutor(1) as client:
        told = taken(box, TASKS)
        assert_all_done(box, told)
        meanwhile = client.submit(taken, box, TASKS, TASKS)  # what is taken while the copy is made may be in it or not
        made = pivision(box.environment, "backup", str(file))
        assert (made.returncode, made.stderr) == (0, "")
        again = pivision(box.environment, "backup", str(file))
        assert again.returncode != 0
        assert "backup-not-written" in again.stderr
        refused = pivision(box.environment, "restore", str(file))
        assert refused.returncode != 0
        assert "appliance-running" in refused.stderr
        assert_all_done(box, told | meanwhile.result())
        results = {task_id: box.task(task_id) for task_id in told}

    with running_box() as other:
        before = taken(other, 2, 1000)
        assert_all_done(other, before)
        other.stop()
        restored = pivision(other.environment, "restore", str(file))
        assert (restored.returncode, restored.stderr) == (0, "")
        other.start()
        assert {task_id: other.task(task_id) for task_id in told} == results
        assert {other.request("GET", f"/v1/tasks/{task_id}/image").status for task_id in told} == {200}
        assert_all_done(other, taken(other, 3, 2000))
        assert (other.data_dir / "replaced" / "1" / "pivision.db").exists()


def test_a_database_out_of_reach_is_waited_for_and_not_moved() -> None:
    with running_box() as box:
        told = taken(box, 3)
        assert_all_done(box, told)
        box.stop()
        with read_only(box.data_dir):
            box.start(until_ready=False)
            eventually(lambda: box.get("/healthz").status == 200, "it is alive")
            ready = box.get("/readyz")
            assert ready.status == 503
            assert ready.json["checks"]["database"] in ("database-unusable", "storage-full")
            answer = box.post(qr_code("refused"))
            assert answer.status in (503, 507)
            pids = box.pids()
            assert not (box.data_dir / "damaged").exists()
        assert_all_done(box, told | taken_however_long(box, 3, 3))
        assert box.pids() == pids, "nobody was started again and again"


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder cannot be written, not even by root."""
    for command in (["mount", "--bind", f"{folder}", f"{folder}"], ["mount", "-o", "remount,bind,ro", f"{folder}"]):
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode != 0:
            needs.skip("root", f"nothing can be mounted here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)
