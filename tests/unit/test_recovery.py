"""Recovery from real damage: whatever happens to the database, what was acknowledged is there afterwards."""

import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivision.errors import DatabaseBusy, DatabaseUnusable, PiVisionError
from pivision.images import Images
from pivision.store import Store, backup, recovery, soundness
from pivision.task import State
from tests.unit.conftest import new_task
from tests.unit.damage import TASKS, Remains, assert_nothing_is_lost, killed_appliance, remains

SPAWN = multiprocessing.get_context("spawn")
PATIENCE_SECONDS = 30
EXAMPLES = 2000 if os.environ.get("EXPLORE") else 50  # each copies and recovers a whole data folder


@pytest.fixture(scope="module")
def killed() -> Iterator[Remains]:
    """What a killed appliance leaves; each test damages a copy."""
    with killed_appliance() as left:
        yield left


@pytest.fixture
def left(killed: Remains, tmp_path: Path) -> Remains:
    return killed.copied(tmp_path)


def overwrite(file: Path, offset: int, content: bytes) -> None:
    with file.open("r+b") as changed:
        changed.seek(offset)
        changed.write(content)


def cut(file: Path, size_bytes: int) -> None:
    with file.open("r+b") as changed:
        changed.truncate(size_bytes)


def foreign(file: Path) -> None:
    file.unlink()
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE task (id INTEGER PRIMARY KEY, state TEXT)")
        connection.execute("INSERT INTO task VALUES (1, 'queued'), (999999, 'queued')")
        connection.commit()


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def without_index_entry(file: Path) -> None:
    """A waiting task that no worker would ever find."""
    with contextlib.closing(apsw.Connection(str(file))) as raw:
        raw.pragma("writable_schema", True)
        ((page,),) = raw.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'task_by_state'").fetchall()
        raw.execute("DELETE FROM sqlite_schema WHERE name = 'task_by_state'")
        raw.pragma("schema_version", 1000)
    with contextlib.closing(apsw.Connection(str(file))) as raw:
        raw.execute("DELETE FROM task WHERE id = 119")
        raw.pragma("writable_schema", True)
        sql = "CREATE INDEX task_by_state ON task (state, id)"
        raw.execute("INSERT INTO sqlite_schema VALUES ('index', 'task_by_state', 'task', ?, ?)", (page, sql))
        raw.pragma("schema_version", 1001)


def with_pragma(name: str, value: int) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        with contextlib.closing(apsw.Connection(str(file))) as raw:
            raw.pragma(name, value)

    return change


DAMAGES: dict[str, Callable[[Path], object]] = {
    "zero bytes": lambda file: cut(file, 0),
    "cut off in the middle": lambda file: cut(file, file.stat().st_size // 2),
    "cut off within a page": lambda file: cut(file, 4096 * 5 + 100),
    "one byte": lambda file: cut(file, 1),
    "the header is gone": lambda file: overwrite(file, 0, bytes(100)),
    "the first page is gone": lambda file: overwrite(file, 0, os.urandom(4096)),
    "overwritten with zeros from the second page": lambda file: overwrite(file, 4096, bytes(file.stat().st_size)),
    "garbage": lambda file: file.write_bytes(os.urandom(file.stat().st_size)),
    "a text": lambda file: file.write_text("SQLite format 3, or so one may think\n" * 100),
    "foreign": foreign,
    "a folder": folder,
    "deleted": lambda file: file.unlink(),
    "an entry of an index is missing": without_index_entry,
    "its mark is gone": with_pragma("application_id", 0),
    "its version is wrong": with_pragma("user_version", 0),
    "its version is from nowhere": with_pragma("user_version", 77),
}


@pytest.mark.parametrize("with_wal", [True, False], ids=["with its -wal", "without its -wal"])
@pytest.mark.parametrize("kind", DAMAGES)
def test_whatever_happens_to_the_file_nothing_acknowledged_is_lost(left: Remains, kind: str, with_wal: bool) -> None:
    if not with_wal:
        left.database.with_name("pivision.db-wal").unlink()
    DAMAGES[kind](left.database)
    before = left.database.read_bytes() if left.database.is_file() else None

    report = left.recover()

    assert_nothing_is_lost(left)
    if report is None:
        assert with_wal, "only the -wal can make up for what the file lacks"
        return
    assert report.cause
    assert Store(left.database).running() == [], "nobody works on them"
    assert (report.quarantined, report.not_recovered, report.images_without_task) == (0, 0, 0)
    if before is not None and not kind.startswith(("an entry", "its ")):
        assert (left.data_dir / "damaged" / "1" / "pivision.db").read_bytes() == before, "kept as it was"
    assert json.loads(recovery.report_file(left.data_dir).read_bytes())["cause"] == report.cause
    assert left.recover() is None, "once is enough"


def test_a_sound_database_is_left_as_it_is(left: Remains) -> None:
    before = left.database.read_bytes()
    assert left.recover() is None
    assert left.database.read_bytes() == before
    assert not (left.data_dir / "damaged").exists()
    found = assert_nothing_is_lost(left)
    assert {task_id: task.state for task_id, task in found.items()} == left.states


def test_nothing_there_is_nothing_to_recover(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert Remains(tmp_path / "data", {}, {}).recover() is None


@pytest.mark.parametrize(("text", "damaged"), [(b"json_valid", b"j0on_valid"), (b"given twice", b"given tw\x80ce")])
def test_a_schema_whose_text_is_damaged_loses_nothing(
    killed: Remains, tmp_path: Path, text: bytes, damaged: bytes
) -> None:
    left = killed.copied(tmp_path, with_images=False)
    content = left.database.read_bytes()
    assert text in content
    left.database.write_bytes(content.replace(text, damaged))  # free pages hold older copies, too
    assert left.recover()
    assert_nothing_is_lost(left)


@settings(max_examples=EXAMPLES)
@given(chance=st.randoms(use_true_random=False), ranges=st.integers(1, 4), size_bytes=st.integers(1, 9000))
def test_bytes_overwritten_anywhere_lose_nothing(
    killed: Remains, chance: random.Random, ranges: int, size_bytes: int
) -> None:
    """Known limit: bytes changed within a text leave a sound database, in which that one text is another."""
    with tempfile.TemporaryDirectory(prefix="pv-") as folder:
        left = killed.copied(Path(folder), with_images=False)
        for _ in range(ranges):
            offset = chance.randrange(left.database.stat().st_size - 1)
            room = left.database.stat().st_size - offset
            overwrite(left.database, offset, chance.randbytes(min(size_bytes, room)))
        if left.recover():
            assert_nothing_is_lost(left)
        else:
            assert {task.id for task in Store(left.database).page(10_000)} == set(left.requests)


@settings(max_examples=EXAMPLES)
@given(chance=st.randoms(use_true_random=False), size_bytes=st.integers(1, 9000))
def test_a_wal_overwritten_or_cut_off_anywhere_loses_nothing(
    killed: Remains, chance: random.Random, size_bytes: int
) -> None:
    with tempfile.TemporaryDirectory(prefix="pv-") as folder:
        left = killed.copied(Path(folder), with_images=False)
        wal = left.database.with_name("pivision.db-wal")
        offset = chance.randrange(wal.stat().st_size)
        if chance.random() < 0.5:
            cut(wal, offset)
        else:
            overwrite(wal, offset, chance.randbytes(size_bytes))
        assert_nothing_is_lost(left, was_recovered=bool(left.recover()))


def test_what_had_ended_has_ended_still_where_the_file_tells(left: Remains) -> None:
    """Rows that can be read are taken as they are; nothing is done again that need not be."""
    with_pragma("application_id", 0)(left.database)
    left.recover()
    found = assert_nothing_is_lost(left)
    running = {task_id for task_id, state in left.states.items() if state is State.RUNNING}
    assert {task_id: task.state for task_id, task in found.items()} == {
        **left.states,
        **dict.fromkeys(running, State.QUEUED),
    }


def test_a_row_that_others_contradict_is_not_trusted(left: Remains) -> None:
    with contextlib.closing(apsw.Connection(str(left.database))) as raw:
        for task_id, source in ((1, "in the backup"), (TASKS, "in the ledger")):
            raw.execute("UPDATE task SET source = ? WHERE id = ?", (source, task_id))
        raw.pragma("application_id", 0)
    left.recover()
    assert_nothing_is_lost(left)


def test_a_damaged_backup_is_passed_over(killed: Remains, tmp_path: Path) -> None:
    left = killed.copied(tmp_path)
    shutil.copy(left.data_dir / "backups" / "1.db", left.data_dir / "backups" / "2.db")
    (left.data_dir / "requests.jsonl").rename(left.data_dir / "backups" / "2.jsonl")  # the requests between them
    cut(left.data_dir / "backups" / "2.db", 5000)
    cut(left.database, 0)
    report = left.recover()
    assert report
    assert report.backup == "backups/1.db"
    assert_nothing_is_lost(left)


def test_without_any_backup_the_ledger_alone_brings_all_back(tmp_path: Path) -> None:
    left = remains(tmp_path, with_backup=False)
    left.database.write_bytes(os.urandom(20_000))
    left.database.with_name("pivision.db-wal").write_bytes(os.urandom(20_000))
    report = left.recover()
    assert report
    assert (report.tasks["ledger"], report.backup) == (TASKS, None)
    assert_nothing_is_lost(left)


def test_behind_a_page_that_cannot_be_read_the_rows_are_found_all_the_same(left: Remains) -> None:
    """Neither ledger nor backup: what the page held is lost, and told; nothing else is."""
    (left.data_dir / "requests.jsonl").unlink()
    shutil.rmtree(left.data_dir / "backups")
    with contextlib.closing(apsw.Connection(str(left.database))) as raw:
        raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        query = "SELECT pageno FROM dbstat WHERE name = 'task' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 3"
        ((page,),) = raw.execute(query).fetchall()
        assert isinstance(page, int)
    overwrite(left.database, (page - 1) * 4096, os.urandom(4096))
    report = left.recover()
    assert report
    found = {task.id for task in Store(left.database).page(10_000)}
    lost = set(left.requests) - found
    assert 0 < len(lost) < 40
    assert lost == set(range(min(lost), max(lost) + 1)), "one page"
    assert report.not_recovered == len(lost)
    assert max(lost) < max(found)


def test_pictures_that_are_gone_and_pictures_without_a_task_are_told(left: Remains) -> None:
    images = Images(left.data_dir / "images", reserve_bytes=0)
    waiting = [task_id for task_id, state in left.states.items() if state is State.QUEUED]
    lost = frozenset(left.requests[task_id].sha256 for task_id in waiting[:5])
    for sha256 in lost:
        images.path(sha256).unlink()
    for number in range(3):
        images.path(f"{number:064}").write_bytes(b"of an upload that was never acknowledged")
    with_pragma("application_id", 0)(left.database)
    report = left.recover()
    assert report
    assert (report.quarantined, report.images_without_task) == (5, 3)
    found = assert_nothing_is_lost(left, lost)
    errors = [found[task_id].error for task_id in waiting[:5]]
    assert {error.code if error else None for error in errors} == {"image-lost"}
    assert f"{0:064}" in images.names()


@pytest.mark.parametrize("moment", range(12))
def test_a_recovery_that_is_interrupted_at_any_moment_is_finished_by_the_next(
    left: Remains, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each durable step in its turn is the last one that happens."""
    with_pragma("application_id", 0)(left.database)

    class PluggedOff(BaseException):
        pass

    steps = 0

    def stepping(function: Callable[..., object]) -> Callable[..., object]:
        def stepped(*arguments: object, **options: object) -> object:
            nonlocal steps
            steps += 1
            if steps > moment:
                raise PluggedOff
            return function(*arguments, **options)

        return stepped

    with monkeypatch.context() as context:
        for owner, name in ((Path, "rename"), (Path, "unlink"), (Path, "write_bytes"), (shutil, "copy2")):
            context.setattr(owner, name, stepping(getattr(owner, name)))
        interrupted = False
        try:
            left.recover()
        except PluggedOff:
            interrupted = True
    assert interrupted == (steps > moment)
    left.recover()
    assert_nothing_is_lost(left)
    assert json.loads(recovery.report_file(left.data_dir).read_bytes())["not_recovered"] == 0
    assert left.recover() is None
    assert len(list((left.data_dir / "damaged").iterdir())) == 1, "one damaged file, one folder"
    assert not (left.data_dir / "damaged" / "1" / "unfinished").exists()


def test_the_newest_three_damaged_files_are_kept(left: Remains) -> None:
    for _ in range(5):
        cut(left.database, 0)
        assert left.recover()
    assert sorted(folder.name for folder in (left.data_dir / "damaged").iterdir()) == ["3", "4", "5"]
    assert_nothing_is_lost(left)


def test_what_was_rescued_comes_back_when_everything_else_is_gone(left: Remains) -> None:
    store = Store(left.database)
    store.copy(left.rescued)
    del store
    shutil.rmtree(left.data_dir)
    left.data_dir.mkdir()
    report = left.recover()
    assert report
    assert report.tasks == {"database": 0, "rescue": TASKS, "backup": 0, "ledger": 0}
    assert not left.rescued.exists()
    found = assert_nothing_is_lost(left, frozenset(request.sha256 for request in left.requests.values()))
    assert State.QUEUED not in {task.state for task in found.values()}, "their pictures are gone"


def test_ids_are_not_given_again_though_their_tasks_are_gone(left: Remains) -> None:
    """Removed tasks leave no row, and the last of them may have had the largest id."""
    store = Store(left.database)
    for task_id in (TASKS - 1, TASKS):
        if store.get(task_id).state is State.QUEUED:
            store.cancel(task_id)
    store.tick("a boot", 10**9)
    while store.remove_expired(0, 50):
        pass
    (left.data_dir / "requests.jsonl").unlink()
    del store
    with_pragma("application_id", 0)(left.database)
    assert left.recover()
    assert Store(left.database).add(new_task())[0].id > TASKS


def test_a_sound_file_has_the_last_word_on_what_was_removed(left: Remains) -> None:
    """The -wal is gone: what the file knows nothing of comes back, and what retention removed from it does not."""
    store = Store(left.database)
    removed = [task_id for task_id, state in left.states.items() if state is State.DONE]
    with contextlib.closing(apsw.Connection(str(left.database))) as raw:
        for task_id in removed:
            raw.execute("DELETE FROM task WHERE id = ?", (task_id,))
        raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    added = [store.add(new_task(str(number) * 64))[0].id for number in range(3)]
    left.database.with_name("pivision.db-wal").unlink()
    lost = left.copied(left.data_dir.parent / "elsewhere")
    report = lost.recover()
    assert report
    assert "-wal" in report.cause
    found = {task.id for task in Store(lost.database).page(10_000)}
    assert found == (set(left.requests) - set(removed)) | set(added)


@pytest.mark.parametrize("kind", ["newer", "locked"])
def test_what_is_not_damage_moves_nothing(left: Remains, kind: str) -> None:
    with contextlib.closing(apsw.Connection(str(left.database))) as raw:
        if kind == "newer":
            raw.execute("ALTER TABLE task ADD COLUMN from_the_future TEXT")
            raw.pragma("user_version", 99)
        else:
            raw.pragma("locking_mode", "EXCLUSIVE")
            raw.execute("BEGIN IMMEDIATE")
        with pytest.raises((DatabaseBusy, DatabaseUnusable)):
            left.recover()
        if kind == "locked":
            raw.execute("ROLLBACK")
    assert not (left.data_dir / "damaged").exists()
    assert left.database.exists()


def test_a_full_disk_stops_a_recovery_that_is_finished_later(left: Remains, monkeypatch: pytest.MonkeyPatch) -> None:
    cut(left.database, 0)
    with monkeypatch.context() as context:
        context.setattr(recovery, "_write_durably", full_disk)
        with pytest.raises(PiVisionError, match="No space left"):
            left.recover()
    assert left.recover()
    assert_nothing_is_lost(left)


def full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def write_until_killed(file: Path, told: Connection) -> None:
    store = Store(file)
    while True:
        told.send(store.add(new_task())[0].id)


def test_a_wal_that_is_deleted_after_its_writer_was_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    images = Images(data / "images", reserve_bytes=0)
    images.path("a" * 64).write_bytes(b"a picture")
    told, teller = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=write_until_killed, args=(data / "pivision.db", teller))
    process.start()
    acknowledged: list[int] = []
    try:
        while len(acknowledged) < 200:
            assert told.poll(PATIENCE_SECONDS)
            acknowledged.append(told.recv())
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.join()
    teller.close()
    with contextlib.suppress(EOFError):
        while told.poll():
            acknowledged.append(told.recv())
    left = Remains(data, {}, {})
    for kind in ("-wal", "-shm"):
        left.database.with_name(f"pivision.db{kind}").unlink()
    report = left.recover()
    assert report
    found = {task.id for task in Store(left.database).page(10_000)}
    assert found >= set(acknowledged)
    assert len(found) - len(acknowledged) <= 1, "at most the one that was not acknowledged any more"


def test_ledgers_and_backups_stay_in_step_with_recoveries(left: Remains) -> None:
    """After a recovery the same ledger is there still; a second damage must not bring anything back twice."""
    for _ in range(3):
        overwrite(left.database, 4096, bytes(4096 * 3))
        left.recover()
    assert soundness.fault(left.database) is None
    assert backup.newest_sound(left.data_dir / "backups")
    assert_nothing_is_lost(left)
