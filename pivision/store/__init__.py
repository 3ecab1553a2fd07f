"""The store: every task, in one SQLite file. The only place that knows SQL.

One method for each statement of queries.sql. Many processes and threads may use it at once: each thread has its own
connection, and the threads of one process queue for the write lock here instead of polling for it in SQLite.
"""

import contextlib
import datetime
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import msgspec

from pivision.errors import (
    DatabaseBusy,
    DatabaseUnusable,
    IdempotencyKeyReused,
    StorageFull,
    TaskNotFound,
    TaskStateConflict,
)
from pivision.store import queries, schema
from pivision.task import TRANSITIONS, Image, NewTask, State, Task, TaskError

_QUERIES = queries.load()
_BUSY = (apsw.BusyError, apsw.LockedError)
_UNUSABLE = (
    apsw.NotADBError,
    apsw.CorruptError,
    apsw.CantOpenError,
    apsw.IOError,
    apsw.ReadOnlyError,
    apsw.PermissionsError,
)

Row = dict[str, Any]


class Store:
    """The tasks in the database `file`, which is made if it is missing.

    Every method may raise DatabaseBusy (another process has been writing for longer than `timeout_seconds`),
    DatabaseUnusable and StorageFull.
    """

    def __init__(self, file: Path, timeout_seconds: float = 5.0) -> None:
        self._file = file
        self._timeout_seconds = timeout_seconds
        self._write_lock = threading.RLock()  # re-entered by the statements of `together`
        self._of_thread = threading.local()
        with self._errors():
            schema.prepare(file, timeout_seconds)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Make the writes of the block one commit: one flush of the disk, and all of them happen or none.

        What they return holds only after the block.
        """
        with self._writing():
            self._write("begin")
            try:
                yield
                self._write("commit")
            except BaseException:
                if self._is_in_transaction():  # on a full disk SQLite has rolled back by itself
                    self._write("rollback")
                raise

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
            now=_now(),
            **msgspec.structs.asdict(new.image),
        )
        if rows:
            return _task(rows[0]), True
        earlier = self._read("by_idempotency_key", idempotency_key=new.idempotency_key)
        if not earlier:  # removed in between
            return self.add(new)
        task = _task(earlier[0])
        if _request(task) != _request(new):
            raise IdempotencyKeyReused(f"the key was used for task {task.id}, with another image, operations or source")
        return task, False

    def get(self, task_id: int) -> Task:
        """One task. Raises TaskNotFound."""
        rows = self._read("get", id=task_id)
        if not rows:
            raise TaskNotFound(f"there is no task {task_id}")
        return _task(rows[0])

    def page(self, limit: int, before: int | None = None, state: State | None = None) -> list[Task]:
        """The newest tasks, at most `limit`, with ids below `before`, in `state` if one is given."""
        page = {"limit": limit, "before": before if before is not None else 1 << 62}
        rows = self._read("list_by_state", state=state, **page) if state else self._read("list", **page)
        return [_task(row) for row in rows]

    def counts(self) -> dict[State, int]:
        """How many tasks there are in each state."""
        found = {State(row["state"]): row["tasks"] for row in self._read("counts")}
        return {state: found.get(state, 0) for state in State}

    def cancel(self, task_id: int) -> Task:
        """Take a waiting task out of the queue. Raises TaskNotFound, TaskStateConflict."""
        return self._stepped(task_id, State.CANCELLED, self._write("cancel", id=task_id, now=_now()))

    def retry(self, task_id: int) -> Task:
        """Queue a task again that ended without a result. Raises TaskNotFound, TaskStateConflict."""
        return self._stepped(task_id, State.QUEUED, self._write("retry", id=task_id))

    # Workers

    def claim(self, worker: int) -> Task | None:
        """Take the oldest waiting task for this worker and count the attempt; None if nothing waits."""
        if self._read("is_queue_empty")[0]["is_empty"]:
            return None
        rows = self._write("claim", worker=worker, now=_now())
        return _task(rows[0]) if rows else None

    def finish(self, task: Task, result: bytes) -> bool:
        """Give the task its result (JSON). False: the task is no longer this worker's, and the result is dropped."""
        return bool(self._write("finish", **_fence(task), result=result.decode(), now=_now()))

    def fail(self, task: Task, error: TaskError, result: bytes | None = None) -> bool:
        """End the task without success, for good. False as with `finish`."""
        text = None if result is None else result.decode()
        return bool(self._write("fail", **_fence(task), result=text, code=error.code, detail=error.detail, now=_now()))

    def hand_back(self, task: Task) -> bool:
        """Put the task back into the queue as if it had never been taken. False as with `finish`."""
        return bool(self._write("hand_back", **_fence(task)))

    def running(self) -> list[Task]:
        """The tasks that some worker has, or had when it died."""
        return [_task(row) for row in self._read("running")]

    def requeue(self, task: Task) -> bool:
        """Let another worker try: this one is dead. False if that was done already."""
        return bool(self._write("requeue", **_fence(task)))

    def quarantine(self, task: Task, error: TaskError) -> bool:
        """Set the task aside: its last worker is dead. False if that was done already."""
        return bool(self._write("quarantine", **_fence(task), code=error.code, detail=error.detail, now=_now()))

    # Retention

    def tick(self, boot_id: str, boottime_seconds: float) -> None:
        """Advance the appliance's clock."""
        self._write("tick", boot_id=boot_id, boottime_seconds=int(boottime_seconds))

    def remove_expired(self, max_age_seconds: float, limit: int) -> set[str]:
        """Remove at most `limit` tasks that finished longer ago; return the SHA-256 of their images."""
        rows = self._write("remove_expired", max_age_seconds=int(max_age_seconds), limit=limit)
        return {row["image_sha256"] for row in rows}

    def remove_oldest(self, limit: int, kept: int) -> set[str]:
        """Remove the `limit` tasks that finished longest ago, but not the last `kept`; return their images' SHA-256."""
        return {row["image_sha256"] for row in self._write("remove_oldest", limit=limit, kept=kept)}

    def is_image_referenced(self, sha256: str) -> bool:
        """Whether any task has this image."""
        return bool(self._read("is_image_referenced", sha256=sha256)[0]["is_referenced"])

    # How it is done

    def _stepped(self, task_id: int, to: State, rows: list[Row]) -> Task:
        if rows:
            return _task(rows[0])
        state = self.get(task_id).state
        by_people = TRANSITIONS.keys() - {State.RUNNING}  # a running task is its worker's
        possible = " or ".join(sorted(source for source in by_people if to in TRANSITIONS[source]))
        raise TaskStateConflict(f"task {task_id} is {state}; to become {to} it must be {possible}")

    def _read(self, query: str, **parameters: object) -> list[Row]:
        with self._errors():
            return self._rows(query, parameters)

    def _write(self, query: str, **parameters: object) -> list[Row]:
        with self._writing():
            return self._rows(query, parameters)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        if not self._write_lock.acquire(timeout=self._timeout_seconds):
            raise DatabaseBusy("other requests have been writing for too long")
        try:
            with self._errors():
                yield
        finally:
            self._write_lock.release()

    def _is_in_transaction(self) -> bool:
        connection: apsw.Connection | None = getattr(self._of_thread, "connection", None)
        return connection is not None and connection.in_transaction

    def _rows(self, query: str, parameters: dict[str, object]) -> list[Row]:
        connection: apsw.Connection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = schema.connect(self._file, self._timeout_seconds)
            connection.row_trace = _as_dict
        return list(connection.execute(_QUERIES[query], parameters))  # to the last row: only then it commits

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except _BUSY:
            raise DatabaseBusy(f"{self._file} has been locked for {self._timeout_seconds:g} s") from None
        except apsw.FullError:
            raise StorageFull(f"{self._file} cannot grow: the disk is full") from None
        except OverflowError:
            raise TaskNotFound("no task has an id as large as this") from None
        except _UNUSABLE as error:
            self._of_thread.connection = None  # look at the file afresh next time: it may have been mended
            raise DatabaseUnusable(f"{self._file}: {error}") from error


def _as_dict(cursor: apsw.Cursor, row: tuple[Any, ...]) -> Row:
    return {column[0]: value for column, value in zip(cursor.get_description(), row, strict=True)}


def _request(task: Task | NewTask) -> tuple[str, bytes, str | None]:
    return task.image.sha256, bytes(task.operations), task.source


def _fence(task: Task) -> dict[str, int | None]:
    return {"id": task.id, "worker": task.worker, "attempt": task.attempt}


def _task(row: Row) -> Task:
    return Task(
        id=row["id"],
        state=State(row["state"]),
        operations=msgspec.Raw(row["operations"].encode()),
        result=None if row["result"] is None else msgspec.Raw(row["result"].encode()),
        error=None if row["error_code"] is None else TaskError(row["error_code"], row["error_detail"]),
        attempt=row["attempt"],
        source=row["source"],
        image=Image(
            sha256=row["image_sha256"],
            format=row["image_format"],
            width_px=row["image_width_px"],
            height_px=row["image_height_px"],
            size_bytes=row["image_size_bytes"],
        ),
        worker=row["worker"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
