"""Durable enqueue, and take and finish: the Store against huey's SqliteHuey and against plain SQL.

Each round gives each of them a fresh database in the same folder, `TASKS` tasks in, then the same tasks out, one commit
at a time, from one process and one thread. All of them use WAL with synchronous=FULL: what has been said to be stored
is on the disk. A task is one picture with two operations, its result is the JSON that a worker would write.

huey keeps results here, as the Store does: one durable step to take, one to finish. The Store finishes a task and takes
the next in one. Without results huey has a single step, too; that is shown, and keeps nothing. What huey does not
do: count the attempt, fence the finish, keep the task while it is worked on (a crash loses it), or keep it afterwards.
"""

import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import apsw
import msgspec
from huey import SqliteHuey

from benchmarks.table import median, show, spread, verdict
from pivision.store import Store
from pivision.task import Image, NewTask, Task

TASKS = 1000
ROUNDS = 6
GOAL = 1.3

_OPERATIONS = b'[{"name":"codes","params":{"formats":[]}},{"name":"quality","params":{}}]'
_RESULT = (
    b'{"codes":{"milliseconds":8.123,"codes":[{"text":"https://example.org/","format":"QRCode","corners":'
    b'[{"x":10.0,"y":10.0},{"x":99.0,"y":10.0},{"x":99.0,"y":99.0},{"x":10.0,"y":99.0}],"orientation_degrees":0}]},'
    b'"quality":{"milliseconds":2.5,"sharpness":812.25,"brightness":0.48,"contrast":0.55,'
    b'"exposure":{"underexposed":0.01,"overexposed":0.02,"verdict":"good"}}}'
)


class Queue(NamedTuple):
    """One way to keep tasks: how to add number `n`, and how to take and finish the next."""

    add: Callable[[int], object]
    work: Callable[[], object]


def store(folder: Path) -> Queue:
    """The product's own, as a busy worker uses it: it finishes a task and claims the next with one commit."""
    tasks = Store(folder / "pivision.db")
    new = [
        NewTask(Image(f"{number:064x}", "jpeg", 1280, 720, 100_000), msgspec.Raw(_OPERATIONS))
        for number in range(TASKS)
    ]

    task: Task | None = None

    def work() -> None:
        nonlocal task
        task = task or tasks.claim(1)
        assert task is not None
        with tasks.together():
            assert tasks.finish(task, _RESULT)
            task = tasks.claim(1)

    return Queue(lambda number: tasks.add(new[number]), work)


def huey(folder: Path, *, results: bool = True) -> Queue:
    """SqliteHuey as its consumer uses it: dequeue, then execute, which runs the function and keeps what it returns."""
    queue = SqliteHuey(
        "benchmark", filename=str(folder / "huey.db"), journal_mode="wal", fsync=True, results=results, utc=True
    )

    @queue.task()  # type: ignore[untyped-decorator]
    def look(image: str, operations: bytes) -> bytes:
        return _RESULT

    connection: sqlite3.Connection = queue.storage.conn
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    return Queue(lambda number: look(f"{number:064x}", _OPERATIONS), lambda: queue.execute(queue.dequeue()))


def huey_without_results(folder: Path) -> Queue:
    """SqliteHuey that forgets what the function returns."""
    return huey(folder, results=False)


def plain_sql(folder: Path) -> Queue:
    """The least that SQLite can do for it: one table, one partial index, three statements, no objects."""
    connection = apsw.Connection(str(folder / "plain.db"))
    connection.pragma("journal_mode", "WAL")
    connection.pragma("synchronous", "FULL")
    connection.execute("""
        CREATE TABLE task (id INTEGER PRIMARY KEY, state TEXT NOT NULL, image TEXT, operations TEXT, result TEXT);
        CREATE INDEX task_queue ON task (id) WHERE state = 'queued';
    """)

    def add(number: int) -> None:
        statement = "INSERT INTO task (state, image, operations) VALUES ('queued', ?, ?)"
        connection.execute(statement, (f"{number:064x}", _OPERATIONS.decode()))

    def work() -> None:
        next_id = "SELECT id FROM task WHERE state = 'queued' ORDER BY id LIMIT 1"
        claim = f"UPDATE task SET state = 'running' WHERE id = ({next_id}) RETURNING id, image, operations"
        ((number, _image, _operations),) = list(connection.execute(claim))
        connection.execute("UPDATE task SET state = 'done', result = ? WHERE id = ?", (_RESULT.decode(), number))

    return Queue(add, work)


QUEUES: dict[str, Callable[[Path], Queue]] = {
    "PiVision's Store": store,
    "huey 3.5 SqliteHuey, results kept": huey,
    "huey 3.5 SqliteHuey, results dropped": huey_without_results,
    "plain SQL (apsw)": plain_sql,
}


def main() -> None:
    """Measure them round by round and print the table."""
    added: dict[str, list[float]] = {name: [] for name in QUEUES}
    worked: dict[str, list[float]] = {name: [] for name in QUEUES}
    for _round in range(ROUNDS):
        for name, make in QUEUES.items():
            with tempfile.TemporaryDirectory(prefix="pv-queue-") as folder:
                queue = make(Path(folder))
                added[name].append(TASKS / _seconds(lambda: [queue.add(number) for number in range(TASKS)]))  # noqa: B023
                worked[name].append(TASKS / _seconds(lambda: [queue.work() for _ in range(TASKS)]))  # noqa: B023
    ours, *_ = QUEUES
    rows = []
    for name in QUEUES:
        row = [name]
        for rates in (added, worked):
            ratios = [mine / theirs for mine, theirs in zip(rates[ours], rates[name], strict=True)]
            is_peer = name == "huey 3.5 SqliteHuey, results kept"
            goal = f"; {verdict(median(ratios), GOAL, at_least=True, digits=2)}" if is_peer else ""
            row += [spread(rates[name]), "" if name == ours else spread(ratios, 2) + goal]
        rows.append(row)
    show(
        "Queue: durable enqueue, take and finish",
        f"WAL, synchronous=FULL, {TASKS} tasks in a fresh database, {ROUNDS} interleaved rounds; medians (min-max). "
        "The ratios are the Store's rate to that of the line, round by round.",
        ["", "enqueue/s", "Store is x times", "take + finish/s", "Store is x times"],
        rows,
    )


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
