"""The store under many processes, some of which are killed."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import apsw
import pytest

from pivision.errors import DatabaseBusy
from pivision.store import Store, schema
from pivision.task import State
from tests.unit.conftest import new_task

SPAWN = multiprocessing.get_context("spawn")  # as supervisord starts programs: nothing is inherited
PATIENCE_SECONDS = 60


@contextlib.contextmanager
def running(*processes: SpawnProcess) -> Iterator[None]:
    """Start the processes, and leave none behind."""
    for process in processes:
        process.start()
    try:
        yield
        for process in processes:
            process.join(PATIENCE_SECONDS)
            assert process.exitcode is not None
    finally:
        for process in processes:
            process.kill()
            process.join()
            process.close()


def claim_all(file: Path, worker: int, start: Barrier, claims: Connection) -> None:
    store = Store(file, timeout_seconds=PATIENCE_SECONDS)
    start.wait(PATIENCE_SECONDS)
    mine = []
    while (task := store.claim(worker)) is not None:
        assert task.worker == worker
        assert store.finish(task, b'{"worker":%d}' % worker)
        mine.append(task.id)
    claims.send(mine)
    claims.close()


def test_four_processes_take_every_task_once(store: Store) -> None:
    ids = {store.add(new_task())[0].id for _ in range(400)}
    start = SPAWN.Barrier(4)
    pipes = [SPAWN.Pipe(duplex=False) for _ in range(4)]
    processes = [
        SPAWN.Process(target=claim_all, args=(store._file, worker, start, pipes[worker][1])) for worker in range(4)
    ]
    with running(*processes):
        assert all(reader.poll(PATIENCE_SECONDS) for reader, _ in pipes)
        taken = [reader.recv() for reader, _ in pipes]
    for end in (end for pipe in pipes for end in pipe):
        end.close()
    assert sorted(task_id for mine in taken for task_id in mine) == sorted(ids)  # none twice, none left
    assert store.counts()[State.DONE] == len(ids)
    for worker, mine in enumerate(taken):
        for task_id in mine:
            task = store.get(task_id)
            assert task.attempt == 1
            assert task.result is not None
            assert bytes(task.result) == b'{"worker":%d}' % worker


def open_and_add(file: Path, start: Barrier, key: str) -> None:
    start.wait(PATIENCE_SECONDS)
    Store(file, timeout_seconds=PATIENCE_SECONDS).add(new_task(idempotency_key=key))


@pytest.mark.parametrize("attempt", range(2))
def test_two_processes_make_the_same_database_at_once(tmp_path: Path, attempt: int) -> None:
    file = tmp_path / "data" / "pivision.db"
    start = SPAWN.Barrier(2)
    processes = [SPAWN.Process(target=open_and_add, args=(file, start, key)) for key in "ab"]
    with running(*processes):
        for process in processes:
            process.join(PATIENCE_SECONDS)
        assert [process.exitcode for process in processes] == [0, 0]
    assert Store(file).counts()[State.QUEUED] == 2
    assert not list(file.parent.glob("*.new*"))


def add_for_ever(file: Path, acknowledge: int) -> None:
    store = Store(file, timeout_seconds=PATIENCE_SECONDS)
    while True:
        task, _ = store.add(new_task())
        os.write(acknowledge, task.id.to_bytes(8, "little"))


def add_in_a_child(file: Path, acknowledgements: Connection) -> None:
    add_for_ever(file, acknowledgements.fileno())


@pytest.mark.parametrize("kill_after", [1, 37, 150])
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, kill_after: int) -> None:
    file = tmp_path / "pivision.db"
    reader, writer = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=add_in_a_child, args=(file, writer))
    with running(process):
        writer.close()
        acknowledged = b""
        while len(acknowledged) < 8 * kill_after:
            more = os.read(reader.fileno(), 8)
            assert more, "the child died by itself"
            acknowledged += more
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        while more := os.read(reader.fileno(), 4096):
            acknowledged += more
    reader.close()
    ids = {int.from_bytes(acknowledged[at : at + 8], "little") for at in range(0, len(acknowledged), 8)}
    store = Store(file)
    stored = {task.id for task in store.page(100_000)}
    assert ids <= stored
    assert len(stored) - len(ids) <= 1  # the one whose acknowledgement was under way
    with contextlib.closing(apsw.Connection(str(file))) as raw:
        assert raw.pragma("integrity_check") == "ok"
    assert store.add(new_task())[1]


def hold_the_write_lock(file: Path, is_held: Event, let_go: Event) -> None:
    connection = apsw.Connection(str(file))
    connection.execute("BEGIN IMMEDIATE")
    is_held.set()
    let_go.wait(PATIENCE_SECONDS)
    connection.execute("ROLLBACK")
    connection.close()


def test_a_lock_of_another_process_makes_writers_give_up_and_no_reader_wait(store: Store) -> None:
    store.add(new_task())
    impatient = Store(store._file, timeout_seconds=0.2)
    is_held, let_go = SPAWN.Event(), SPAWN.Event()
    with running(SPAWN.Process(target=hold_the_write_lock, args=(store._file, is_held, let_go))):
        assert is_held.wait(PATIENCE_SECONDS)
        with pytest.raises(DatabaseBusy):
            impatient.add(new_task())
        with pytest.raises(DatabaseBusy):
            impatient.claim(1)
        assert impatient.get(1).state is State.QUEUED
        assert impatient.counts()[State.QUEUED] == 1
        patient = threading.Thread(target=store.add, args=(new_task(),))
        patient.start()  # waits for the lock, and gets it
        let_go.set()
        patient.join(PATIENCE_SECONDS)
    assert store.counts()[State.QUEUED] == 2
    assert impatient.add(new_task())[1]


def test_threads_that_write_at_once_all_get_through(store: Store) -> None:
    start = threading.Barrier(8)
    ids: list[int] = []

    def add() -> None:
        start.wait()
        ids.extend(store.add(new_task())[0].id for _ in range(25))

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids) == list(range(1, 201))


def test_the_file_is_marked_and_durable(store: Store) -> None:
    with contextlib.closing(schema.connect(store._file, 1)) as connection:
        assert connection.pragma("synchronous") == 2  # FULL, which belongs to the connection
    with contextlib.closing(apsw.Connection(str(store._file))) as raw:
        assert raw.pragma("journal_mode") == "wal"
        assert raw.pragma("application_id") == int.from_bytes(b"PiVs", "big")
        assert raw.pragma("user_version") == schema.newest()
    assert store._file.stat().st_mode & 0o077 == 0 or store._file.parent.stat().st_mode & 0o077 == 0


def test_every_connection_of_a_store_syncs_each_commit(store: Store) -> None:
    store.counts()
    assert store._connections._of_thread.connection.pragma("synchronous") == 2
