"""Databases of the first schema: brought up, recovered and restored by this program, with all that is in them."""

import contextlib
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from pivision import archive
from pivision.config import Settings
from pivision.store import Store, schema, soundness
from pivision.task import State
from tests.unit.damage import RESULT, Remains, all_tasks, assert_nothing_is_lost, killed_appliance

COLUMNS = (
    "id, state, operations, source, image_sha256, image_format, image_width_px, image_height_px, image_size_bytes, "
    "attempt, worker, result, error_code, error_detail, idempotency_key, created_at, started_at, finished_at, "
    "finished_running_seconds"
)


def to_first_schema(file: Path) -> None:
    """Write the same tasks into a database that the first migration alone has made."""
    old = file.with_name("first.db")
    with contextlib.closing(apsw.Connection(str(old))) as connection:
        connection.pragma("application_id", schema.APPLICATION_ID)
        connection.pragma("journal_mode", "WAL")
        schema.apply(connection, 0, 1)
        connection.execute("ATTACH ? AS newer", (str(file),))
        connection.execute(f"INSERT INTO task ({COLUMNS}) SELECT {COLUMNS} FROM newer.task")
        for table in ("appliance_clock", "sqlite_sequence"):
            connection.execute(f"DELETE FROM {table}; INSERT INTO {table} SELECT * FROM newer.{table}")
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    old.rename(file)
    assert soundness.fault(file) is None


def without_lanes(ledger: Path) -> None:
    lines = [json.loads(line) for line in ledger.read_bytes().split(b"\n") if line]
    assert all(line.pop("lane") == "batch" for line in lines)
    ledger.write_text("".join("\n" + json.dumps(line, separators=(",", ":")) for line in lines))


def version(file: Path) -> Any:
    with contextlib.closing(apsw.Connection(str(file))) as raw:
        return raw.pragma("user_version")


@pytest.fixture(scope="module")
def killed() -> Iterator[Remains]:
    """What a killed appliance leaves, tasks in every state; each test works on a copy."""
    with killed_appliance() as left:
        yield left


@pytest.fixture
def left(killed: Remains, tmp_path: Path) -> Remains:
    """The same as the program of the first schema would have left it."""
    copy = killed.copied(tmp_path)
    to_first_schema(copy.database)
    to_first_schema(copy.data_dir / "backups" / "1.db")
    without_lanes(copy.data_dir / "requests.jsonl")
    assert version(copy.database) == 1
    return copy


def test_a_database_of_the_first_schema_is_brought_up_as_it_is(killed: Remains, left: Remains) -> None:
    assert set(left.states.values()) == set(State), "tasks in every state"
    before = {task.id: task for task in all_tasks(Store(killed.copied(left.data_dir.parent / "newest").database))}
    store = Store(left.database)
    assert version(left.database) == schema.newest()
    assert soundness.fault(left.database) is None
    assert {task.id: task for task in all_tasks(store)} == before
    assert {task.lane for task in before.values()} == {"batch"}
    task = store.claim(2)
    assert task is not None
    assert store.finish(task, RESULT)
    assert left.recover() is None


DAMAGES: dict[str, Callable[[Path], object]] = {
    "zero bytes": lambda file: os.truncate(file, 0),
    "cut off": lambda file: os.truncate(file, file.stat().st_size // 2),
    "the header is gone": lambda file: file.write_bytes(bytes(100) + file.read_bytes()[100:]),
    "a page is gone": lambda file: file.write_bytes(
        (content := file.read_bytes())[: 4096 * 9] + bytes(4096) + content[4096 * 10 :]
    ),
    "its mark is gone": lambda file: marked(file, "application_id", 0),
    "it says that it is of this schema": lambda file: marked(file, "user_version", schema.newest()),
    "deleted": lambda file: file.unlink(),
}


def marked(file: Path, pragma: str, value: int) -> None:
    with contextlib.closing(apsw.Connection(str(file))) as raw:
        raw.pragma(pragma, value)


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_database_of_the_first_schema_is_recovered(left: Remains, kind: str) -> None:
    DAMAGES[kind](left.database)
    report = left.recover()
    assert report
    assert (report.quarantined, report.not_recovered, report.images_without_task) == (0, 0, 0)
    assert_nothing_is_lost(left)
    assert version(left.database) == schema.newest()


@pytest.mark.parametrize("older", ["backup", "ledger", "both"])
def test_what_is_of_the_first_schema_contradicts_nothing(killed: Remains, tmp_path: Path, older: str) -> None:
    """Else a row of a damaged database would not be believed, and its task be done again."""
    left = killed.copied(tmp_path)
    if older != "ledger":
        to_first_schema(left.data_dir / "backups" / "1.db")
    if older != "backup":
        without_lanes(left.data_dir / "requests.jsonl")
    marked(left.database, "application_id", 0)
    assert left.recover()
    found = assert_nothing_is_lost(left)
    running = {task_id for task_id, state in left.states.items() if state is State.RUNNING}
    assert {task_id: task.state for task_id, task in found.items()} == {
        **left.states,
        **dict.fromkeys(running, State.QUEUED),
    }


def test_a_backup_of_the_first_schema_is_restored(left: Remains, tmp_path: Path) -> None:
    file = tmp_path / "first.tar"
    with tarfile.open(file, "w") as tar:
        tar.add(left.database, "pivision.db")
    box = Settings(data_dir=tmp_path / "new" / "data", log_dir=tmp_path / "logs", run_dir=tmp_path / "run")
    archive.restore(box, file)
    tasks = {task.id: task.state for task in all_tasks(Store(box.database))}
    assert tasks == left.states
