"""The store: every task, in one SQLite file. The only place that knows SQL.

One method for each statement of queries.sql. Many processes and threads may use it at once: each thread has its own
connection, and the threads of one process queue for the write lock here instead of polling for it in SQLite.
"""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pivision.errors import IdempotencyKeyReused, TaskNotFound, TaskStateConflict
from pivision.store.connections import Connections
from pivision.store.fingerprint import Fingerprint
from pivision.store.ledger import Ledger
from pivision.store.rows import Change, Row, fence, images_of, now, request, to_change, to_task
from pivision.store.statistics import Statistics
from pivision.task import TRANSITIONS, NewTask, State, Task, TaskError


class Store:
    """The tasks in the database `file`, which is made if it is missing.

    Every method may raise DatabaseBusy (another process has been writing for longer than `timeout_seconds`),
    DatabaseUnusable and StorageFull.
    """

    def __init__(self, file: Path, timeout_seconds: float = 5.0) -> None:
        self._file = file
        self._connections = Connections(file, timeout_seconds)
        self._ledger = Ledger(file.parent)
        self.statistics = Statistics(self._connections)
        self._added: list[tuple[Task, NewTask]] = []  # by the block of `together` that is open, not committed yet

    @property
    def file(self) -> Path:
        """The database file."""
        return self._file

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Make the writes of the block one commit: one flush of the disk, and all of them happen or none.

        What they return holds only after the block.
        """
        with self._connections.writing():
            self._write("begin")
            try:
                yield
                self._write("commit")
                for task, new in self._added:
                    self._ledger.append(task, new.idempotency_key)
            except BaseException:
                if self._connections.is_in_transaction():  # on a full disk SQLite has rolled back by itself
                    self._write("rollback")
                raise
            finally:
                self._added.clear()

    # Clients

    def add(self, new: NewTask) -> tuple[Task, bool]:
        """Store a task; it is durable when this returns. Also tells whether it is new.

        With an idempotency key that was used for the same request, the first request's task is returned.
        Raises IdempotencyKeyReused when the key was used for another request.
        """
        rows = self._write(
            "add",
            operations=bytes(new.operations).decode(),
            source=new.source,
            idempotency_key=new.idempotency_key,
            lane=new.lane,
            now=now(),
            **msgspec.structs.asdict(new.image),
        )
        if rows:
            task = to_task(rows[0])
            if self._connections.is_in_transaction():
                self._added.append((task, new))
            else:
                self._ledger.append(task, new.idempotency_key)
            return task, True
        earlier = self.repeated(new)
        return (earlier, False) if earlier else self.add(new)  # removed in between

    def repeated(self, new: NewTask) -> Task | None:
        """The task of the first request with this idempotency key; None if there was none, or it has been removed.

        Raises IdempotencyKeyReused when that was another request.
        """
        rows = self._read("by_idempotency_key", idempotency_key=new.idempotency_key)
        if not rows:
            return None
        task = to_task(rows[0])
        if request(task) != request(new):
            raise IdempotencyKeyReused(f"the key was used for task {task.id}, with another image, operations or source")
        return task

    def get(self, task_id: int) -> Task:
        """One task. Raises TaskNotFound."""
        rows = self._read("get", id=task_id)
        if not rows:
            raise TaskNotFound(f"there is no task {task_id}")
        return to_task(rows[0])

    def page(
        self,
        limit: int,
        before: int | None = None,
        state: State | None = None,
        operation: str | None = None,
        source: str | None = None,
    ) -> list[Task]:
        """The newest tasks, at most `limit`, with ids below `before`; of this state, operation and source, if given."""
        page = {"limit": limit, "before": before if before is not None else 1 << 62, "operation": operation}
        if source is not None:
            rows = self._read("list_by_source", source=source, state=state, **page)
        else:
            rows = self._read("list_by_state", state=state, **page) if state else self._read("list", **page)
        return [to_task(row) for row in rows]

    def change_numbers(self) -> tuple[int, int]:
        """The number behind which no change is missing, and that of the last change."""
        found = self._read("change_numbers")[0]
        return found["oldest"], found["newest"]

    def changes_since(self, number: int, limit: int) -> list[Change]:
        """What has changed since the change of this number, in order: each task once, at most `limit`."""
        return [to_change(row) for row in self._read("changes_since", number=number, limit=limit)]

    def counts(self) -> dict[State, int]:
        """How many tasks there are in each state."""
        found = {State(row["state"]): row["tasks"] for row in self._read("counts")}
        return {state: found.get(state, 0) for state in State}

    def cancel(self, task_id: int) -> Task:
        """Take a waiting task out of the queue. Raises TaskNotFound, TaskStateConflict."""
        return self._stepped(task_id, State.CANCELLED, self._write("cancel", id=task_id, now=now()))

    def retry(self, task_id: int) -> Task:
        """Queue a task again that ended without a result. Raises TaskNotFound, TaskStateConflict."""
        return self._stepped(task_id, State.QUEUED, self._write("retry", id=task_id))

    def remove(self, task_id: int) -> set[str]:
        """Remove a finished task; return as `remove_expired` does. Raises TaskNotFound, TaskStateConflict."""
        rows = self._write("remove", id=task_id)
        if not rows:
            raise TaskStateConflict(f"task {task_id} is {self.get(task_id).state}; only a finished one can be removed")
        return images_of(rows)

    # Workers

    def claim(self, worker: int) -> Task | None:
        """Take the oldest waiting task, a live one if there is any, and count the attempt; None if nothing waits."""
        if self._read("is_queue_empty")[0]["is_empty"]:
            return None
        rows = self._write("claim", worker=worker, now=now())
        return to_task(rows[0]) if rows else None

    def finish(self, task: Task, result: bytes) -> bool:
        """Give the task its result (JSON). False: the task is no longer this worker's, and the result is dropped."""
        return bool(self._write("finish", **fence(task), result=result.decode(), now=now()))

    def fail(self, task: Task, error: TaskError, result: bytes | None = None) -> bool:
        """End the task without success, for good. False as with `finish`."""
        text = None if result is None else result.decode()
        return bool(self._write("fail", **fence(task), result=text, code=error.code, detail=error.detail, now=now()))

    def hand_back(self, task: Task) -> bool:
        """Put the task back into the queue as if it had never been taken. False as with `finish`."""
        return bool(self._write("hand_back", **fence(task)))

    def defer(self, task: Task) -> bool:
        """Put the task back as `hand_back` does, but behind all that wait now. False also if too many wait so."""
        return bool(self._write("defer", **fence(task)))

    def previous(self, task: Task) -> Task | None:
        """The newest task before this one from the same source, in whatever state; None without one, or a source."""
        if task.source is None:
            return None
        rows = self._read("previous", source=task.source, id=task.id)
        return to_task(rows[0]) if rows else None

    def running(self) -> list[Task]:
        """The tasks that some worker has, or had when it died."""
        return [to_task(row) for row in self._read("running")]

    def requeue(self, task: Task) -> bool:
        """Let another worker try: this one is dead. False if that was done already."""
        return bool(self._write("requeue", **fence(task)))

    def requeue_overrun(self, task: Task) -> bool:
        """Let a task be tried once more, behind all that wait now: its deadline has ended its worker.

        False if it had that try already, or if too many wait so; and if that was done already.
        """
        return bool(self._write("requeue_overrun", **fence(task)))

    def quarantine(self, task: Task, error: TaskError) -> bool:
        """Set the task aside: its last worker is dead. False if that was done already."""
        return bool(self._write("quarantine", **fence(task), code=error.code, detail=error.detail, now=now()))

    # Retention

    def tick(self, boot_id: str, boottime_seconds: float) -> None:
        """Advance the appliance's clock."""
        self._write("tick", boot_id=boot_id, boottime_seconds=int(boottime_seconds))

    def remove_expired(self, max_age_seconds: float, limit: int) -> set[str]:
        """Remove at most `limit` tasks that finished longer ago; return the SHA-256 of their images and drawings."""
        return images_of(self._write("remove_expired", max_age_seconds=int(max_age_seconds), limit=limit))

    def remove_live(self, kept_seconds: float, limit: int) -> set[str]:
        """Remove at most `limit` live tasks that finished longer ago, but for quarantined ones; return as above."""
        return images_of(self._write("remove_live", kept_seconds=int(kept_seconds), limit=limit))

    def remove_oldest(self, excess_bytes: int, limit: int, kept: int) -> set[str]:
        """Remove tasks that finished longest ago until their images have `excess_bytes`; return as above.

        At most `limit`, and none of the last `kept` to finish.
        """
        return images_of(self._write("remove_oldest", excess_bytes=excess_bytes, limit=limit, kept=kept))

    def is_image_referenced(self, sha256: str) -> bool:
        """Whether any task has this image, or this drawing."""
        return bool(self._read("is_image_referenced", sha256=sha256)[0]["is_referenced"])

    # Copies, and what is done when the file is not what it should be

    def fingerprint(self) -> Fingerprint:
        """How far this database has come."""
        return Fingerprint(**self._read("fingerprint")[0])

    def copy(self, target: Path) -> None:
        """Write a consistent copy of the database to `target`, while others read and write."""
        self._connections.copy(target)

    @property
    def damaged(self) -> threading.Event:
        """Set when the file turns out to be damaged, deleted or replaced. Only a new start mends that."""
        return self._connections.damaged

    @property
    def damage(self) -> str:
        """What is wrong with the file, once `damaged` is set."""
        return self._connections.damage

    def declare_damaged(self, what: str) -> None:
        """Set `damaged`: somebody else has found out."""
        self._connections.declare_damaged(what)

    def check(self) -> None:
        """Look at every page of the database. Raises DatabaseUnusable, and sets `damaged`, if something is wrong."""
        self._connections.check()

    def verify(self) -> None:
        """Raise DatabaseUnusable, and set `damaged`, if the file in use was deleted or replaced."""
        self._connections.verify()

    def rescue(self, target: Path, limit_bytes: int) -> bool:
        """Save what the file in use still holds after it was deleted; True if that made a copy at `target`."""
        return self._connections.rescue(target, limit_bytes)

    # How it is done

    def _stepped(self, task_id: int, to: State, rows: list[Row]) -> Task:
        if rows:
            return to_task(rows[0])
        state = self.get(task_id).state
        by_people = TRANSITIONS.keys() - {State.RUNNING}  # a running task is its worker's
        possible = " or ".join(sorted(source for source in by_people if to in TRANSITIONS[source]))
        raise TaskStateConflict(f"task {task_id} is {state}; to become {to} it must be {possible}")

    def _read(self, query: str, **parameters: object) -> list[Row]:
        return self._connections.read(query, parameters)

    def _write(self, query: str, **parameters: object) -> list[Row]:
        return self._connections.write(query, parameters)
