"""The gate to the database: checked once, by one program, and never taken for damaged when it is out of reach."""

import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivision.errors import DatabaseRecovering, DatabaseUnusable
from pivision.images import Images
from pivision.store import Store
from pivision.store.gate import Gate
from tests.box import eventually
from tests.unit.conftest import new_task


class Program:
    """What one program does at its start and at its end."""

    def __init__(self, data_dir: Path, run_dir: Path) -> None:
        self.gate = Gate(data_dir / "pivision.db", run_dir, timeout_seconds=1)
        self._images = Images(data_dir / "images", reserve_bytes=0)
        self.damage: list[str] = []
        self.signs = 0

    def open(self) -> Store:
        return self.gate.open(self._images.names, self._sign)

    def _sign(self) -> None:
        self.signs += 1

    def watch(self, store: Store) -> threading.Thread:
        watching = threading.Thread(target=lambda: self.damage.append(self.gate.watch(store)), daemon=True)
        watching.start()
        return watching

    def end(self) -> None:
        """Let go of the lock, as the kernel does for a program that has ended."""
        if self.gate._lock is not None:
            os.close(self.gate._lock)
            self.gate._lock = None


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@contextlib.contextmanager
def opened(data_dir: Path, run_dir: Path) -> Iterator[tuple[Program, Store]]:
    program = Program(data_dir, run_dir)
    store = program.open()
    try:
        yield program, store
    finally:
        program.end()


def checks(caplog: pytest.LogCaptureFixture) -> int:
    return sum("checked in" in record.message for record in caplog.records)


def test_one_program_checks_for_all_and_none_again(
    data_dir: Path, run_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with opened(data_dir, run_dir) as (first, _), opened(data_dir, run_dir) as (second, _):
        assert (first.signs, second.signs) == (1, 0)
    with opened(data_dir, run_dir):  # started again
        assert checks(caplog) == 1
    (run_dir / "database.checked").write_text("of another supervisord")
    with opened(data_dir, run_dir):
        assert checks(caplog) == 2
    shutil.copy(data_dir / "pivision.db", data_dir / "other.db")
    (data_dir / "other.db").rename(data_dir / "pivision.db")  # another file
    with opened(data_dir, run_dir):
        assert checks(caplog) == 3


def test_nobody_checks_while_another_has_it_open(data_dir: Path, run_dir: Path) -> None:
    with opened(data_dir, run_dir):
        (run_dir / "database.checked").unlink()
        with pytest.raises(DatabaseRecovering):
            Program(data_dir, run_dir).open()
    with opened(data_dir, run_dir) as (_, store):
        assert store.add(new_task())[1]


def test_damage_ends_every_program_and_the_next_recovers(data_dir: Path, run_dir: Path) -> None:
    one, other = Program(data_dir, run_dir), Program(data_dir, run_dir)
    store, store_of_other = one.open(), other.open()
    store.add(new_task())
    watching = [one.watch(store), other.watch(store_of_other)]
    store.declare_damaged("for a test")
    for thread in watching:
        thread.join(10)
    assert one.damage == ["for a test"]
    assert other.damage == ["another program has found it damaged"]
    assert not (run_dir / "database.checked").exists()
    one.end()
    with pytest.raises(DatabaseRecovering):
        Program(data_dir, run_dir).open()
    other.end()
    with opened(data_dir, run_dir):
        pass


def test_a_wal_deleted_in_use_is_written_back(data_dir: Path, run_dir: Path) -> None:
    program = Program(data_dir, run_dir)
    store = program.open()
    watching = program.watch(store)
    for _ in range(10):
        store.add(new_task())
    (data_dir / "pivision.db-wal").unlink()
    with pytest.raises(DatabaseUnusable):
        store.add(new_task())
    watching.join(10)
    assert "-wal" in program.damage[0]
    shutil.copy(data_dir / "pivision.db", data_dir / "alone.db")
    assert len(Store(data_dir / "alone.db").page(100)) == 10
    program.end()
    assert not (run_dir / "rescued.db").exists()


@pytest.mark.parametrize("kind", ["folder deleted", "file deleted", "file replaced"])
def test_a_file_that_is_gone_is_saved_from_memory_and_recovered(data_dir: Path, run_dir: Path, kind: str) -> None:
    program = Program(data_dir, run_dir)
    store = program.open()
    ids = [store.add(new_task())[0].id for _ in range(10)]
    watching = program.watch(store)
    if kind == "folder deleted":
        shutil.rmtree(data_dir)
    elif kind == "file deleted":
        (data_dir / "pivision.db").unlink()
    else:
        Store(data_dir.parent / "other" / "pivision.db")
        (data_dir.parent / "other" / "pivision.db").rename(data_dir / "pivision.db")
    with pytest.raises(DatabaseUnusable):
        store.add(new_task())
    with pytest.raises(DatabaseUnusable):
        store.get(1)
    watching.join(10)
    assert (run_dir / "rescued.db").exists()
    program.end()
    del store
    with opened(data_dir, run_dir) as (_, again):
        assert {task.id for task in again.page(100)} >= set(ids)
    assert not (run_dir / "rescued.db").exists()


def test_what_is_too_large_for_the_run_folder_is_not_saved_there(
    data_dir: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pivision.store.gate._RESCUE_LIMIT_BYTES", 4096)
    program = Program(data_dir, run_dir)
    store = program.open()
    (data_dir / "pivision.db").unlink()
    watching = program.watch(store)
    watching.join(10)
    program.end()
    assert list(run_dir.glob("rescued*")) == []
    assert "cannot be saved" in caplog.text


def test_a_folder_that_cannot_be_made_is_waited_for_and_what_was_rescued_stays(run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file is in the way")
    (run_dir / "rescued.db").write_bytes(b"precious")
    gate = Gate(tmp_path / "data" / "pivision.db", run_dir, timeout_seconds=1)
    for _ in range(2):
        with pytest.raises(DatabaseUnusable):
            gate.open(set, lambda: None)
    assert (run_dir / "rescued.db").read_bytes() == b"precious"


def test_a_damaged_file_is_recovered_before_anybody_sees_it(data_dir: Path, run_dir: Path) -> None:
    with opened(data_dir, run_dir) as (_, store):
        ids = [store.add(new_task())[0].id for _ in range(5)]
    del store
    (run_dir / "database.checked").unlink()
    (data_dir / "pivision.db").write_bytes(b"")
    with opened(data_dir, run_dir) as (_, again):
        assert [task.id for task in again.page(100)] == ids[::-1]
    eventually(lambda: (data_dir / "recovery.json").exists(), "there is a report", 1)
