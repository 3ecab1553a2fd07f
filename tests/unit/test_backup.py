"""Rolling backups: when they are made, what is in them, and that nobody waits for them."""

import contextlib
import fcntl
import os
import threading
import time
from pathlib import Path

import apsw
import pytest

from pivision.errors import DatabaseBusy, DatabaseUnusable, StorageFull
from pivision.store import Store, backup, copies, ledger, soundness
from pivision.store.backup import Backups
from pivision.task import State
from tests.unit.conftest import new_task

HOUR = 3600


def backups(store: Store, *, kept: int = 3, every_seconds: float = HOUR, reserve_bytes: int = 0) -> Backups:
    return Backups(store.file.parent, kept, every_seconds, reserve_bytes)


def names(of: Backups) -> list[str]:
    return sorted((file.name for file in of.folder.iterdir()), key=lambda name: (int(name.split(".")[0]), name))


def ids(file: Path) -> list[int]:
    with contextlib.closing(copies.opened(file)) as connection:
        return [task_id for (task_id,) in connection.execute("SELECT id FROM task ORDER BY id")]


def test_backup_and_ledger_together_tell_of_every_request(store: Store) -> None:
    rolling = backups(store, kept=2)
    for number in range(1, 5):
        store.add(new_task())
        made = rolling.make(store)
        assert (made.name, ids(made)) == (f"{number}.db", list(range(1, number + 1)))
        assert soundness.fault(made) is None
        assert made.stat().st_mode & 0o077 == 0
    store.add(new_task())
    assert names(rolling) == ["3.db", "4.db", "4.jsonl"]
    for file, later in ((rolling.folder / "3.db", [4, 5]), (rolling.folder / "4.db", [5])):
        noted = [request.id for one in backup.ledgers_since(store.file.parent, file) for request in ledger.read(one)]
        assert noted == later


def test_one_is_made_when_it_is_time_and_something_has_changed(store: Store) -> None:
    rolling = backups(store)
    boottime = 0.0

    def later(seconds: float) -> list[str]:
        nonlocal boottime
        boottime += seconds
        store.tick("a boot", boottime)
        backups(store).step(store)  # as another process would
        rolling.step(store)
        return [file.name for file in backup.databases(rolling.folder)]

    assert later(10 * HOUR) == [], "nothing is in it yet"
    store.add(new_task())
    assert later(60) == ["1.db"], "the first as soon as there is a task"
    store.add(new_task())
    assert later(HOUR - 1) == ["1.db"]
    assert later(1) == ["2.db", "1.db"]
    assert later(10 * HOUR) == ["2.db", "1.db"], "nothing has changed"
    store.cancel(1)
    assert later(0) == ["3.db", "2.db", "1.db"]


def test_a_long_ledger_is_reason_enough(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "_LEDGER_LIMIT_BYTES", 5000)
    rolling = backups(store)
    rolling.make(store)
    store.add(new_task())
    rolling.step(store)
    assert len(backup.databases(rolling.folder)) == 1
    store.add(new_task(source="x" * 5000))
    rolling.step(store)
    assert len(backup.databases(rolling.folder)) == 2


def test_nobody_waits_for_it_and_it_is_one_moment(store: Store) -> None:
    """A writer and a reader go on; the copy holds all that was before it began, and a whole beginning of the rest."""
    for _ in range(50):
        with store.together():
            for _ in range(100):
                store.add(new_task(source="x" * 180))
    done = threading.Event()
    longest_seconds = 0.0
    added: list[int] = []

    def write() -> None:
        nonlocal longest_seconds
        while not done.is_set():
            began = time.monotonic()
            added.append(store.add(new_task())[0].id)
            store.get(1)
            longest_seconds = max(longest_seconds, time.monotonic() - began)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = [backups(store, kept=5).make(store) for _ in range(5)]
    finally:
        done.set()
        writer.join()
    assert added
    assert longest_seconds < 0.5
    for file in made:
        found = ids(file)
        assert found == list(range(1, len(found) + 1))
        later = {request.id for one in backup.ledgers_since(store.file.parent, file) for request in ledger.read(one)}
        assert {*found, *later} >= set(added)


def test_the_reserve_is_left_alone_and_that_is_said_once(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.add(new_task())
    free = os.statvfs(store.file.parent)
    rolling = backups(store, reserve_bytes=free.f_bavail * free.f_frsize)
    with pytest.raises(StorageFull):
        rolling.make(store)
    for _ in range(3):
        rolling.step(store)
    assert list(rolling.folder.iterdir()) == []
    assert [record.message for record in caplog.records if "storage-full" in record.message] != []
    assert len(caplog.records) == 1
    assert [request.id for request in ledger.read(ledger.Ledger(store.file.parent).file)] == [1], "nothing was rotated"


def test_one_process_at_a_time(store: Store) -> None:
    store.add(new_task())
    rolling = backups(store)
    rolling.make(store)
    descriptor = os.open(rolling.folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(DatabaseBusy):
        rolling.make(store)
    os.close(descriptor)
    assert rolling.make(store).name == "2.db"


def test_what_an_interrupted_one_has_left_does_no_harm(store: Store) -> None:
    rolling = backups(store)
    store.add(new_task())
    rolling.folder.mkdir(mode=0o700)
    (rolling.folder / "backup.new").write_bytes(b"half")
    ledger.Ledger(store.file.parent).rotate(rolling.folder / "1.jsonl")  # and then the plug was pulled
    store.add(new_task())
    assert rolling.make(store).name == "2.db"
    assert names(rolling) == ["2.db"]


def test_a_damaged_database_is_found_out_by_its_copy_and_replaces_no_backup(store: Store) -> None:
    for _ in range(200):
        store.add(new_task())
    rolling = backups(store, kept=1)
    rolling.make(store)
    with contextlib.closing(apsw.Connection(str(store.file))) as raw:
        raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        ((page,),) = raw.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'task_by_image'")
    with store.file.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(DatabaseUnusable):
        rolling.make(store)
    assert store.damaged.is_set()
    assert [file.name for file in backup.databases(rolling.folder)] == ["1.db"]
    assert backup.newest_sound(rolling.folder) == rolling.folder / "1.db"


def test_the_newest_sound_one_is_chosen(store: Store) -> None:
    rolling = backups(store)
    assert backup.newest_sound(rolling.folder) is None
    for _ in range(3):
        store.add(new_task())
        rolling.make(store)
    (rolling.folder / "3.db").write_bytes(b"")
    with (rolling.folder / "2.db").open("r+b") as file:
        file.truncate(5000)
    assert backup.newest_sound(rolling.folder) == rolling.folder / "1.db"
    rolling.step(store)  # a backup that cannot be read is none
    assert backup.databases(rolling.folder)[0].name == "4.db"


def test_a_copy_is_a_database_like_the_first(store: Store, tmp_path: Path) -> None:
    store.add(new_task(idempotency_key="once"))
    store.copy(tmp_path / "copy.db")
    again = Store(tmp_path / "copy.db")
    assert again.get(1) == store.get(1)
    assert not again.add(new_task(idempotency_key="once"))[1]
    assert again.add(new_task())[0].id > 1
    assert store.counts()[State.QUEUED] == 1
