"""A row of the table as a Task, and a Task as what a statement takes."""

import datetime
from typing import Any, NamedTuple

import apsw
import msgspec

from pivision.task import Image, NewTask, State, Task, TaskError

Row = dict[str, Any]

LARGEST_ID = 1 << 52
"""What says more, in a damaged file or one from elsewhere, is no id: so far the table's own check goes."""


class End(NamedTuple):
    """How a task has ended, for those who count."""

    id: int
    attempt: int
    finished_at: str
    running_seconds: int  # by the appliance's clock
    result: str | None  # JSON


class Change(NamedTuple):
    """The last change of a task."""

    number: int
    task_id: int
    task: Task | None  # as it is now; None: it was removed


def as_dict(cursor: apsw.Cursor, row: tuple[Any, ...]) -> Row:
    """APSW's row trace: each row by the names of its columns."""
    return {column[0]: value for column, value in zip(cursor.get_description(), row, strict=True)}


def to_task(row: Row) -> Task:
    """The task in a row."""
    return Task(
        id=row["id"],
        state=State(row["state"]),
        operations=msgspec.Raw(row["operations"].encode()),
        result=None if row["result"] is None else msgspec.Raw(row["result"].encode()),
        error=None if row["error_code"] is None else TaskError(row["error_code"], row["error_detail"]),
        attempt=row["attempt"],
        source=row["source"],
        lane=row["lane"],
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


def to_end(row: Row) -> End:
    """The end of the task in a row."""
    return End(row["id"], row["attempt"], row["finished_at"], row["finished_running_seconds"], row["result"])


def to_change(row: Row) -> Change:
    """The change in a row."""
    return Change(row["number"], row["task_id"], None if row["id"] is None else to_task(row))


def images_of(removed: list[Row]) -> set[str]:
    """What is on the disk for these rows: their pictures, and what was drawn on them."""
    return {sha256 for row in removed for sha256 in (row["image_sha256"], row["drawing_sha256"]) if sha256}


def request(of: Task | NewTask) -> tuple[str, bytes, str | None]:
    """What makes two requests the same."""
    return of.image.sha256, bytes(of.operations), of.source


def fence(of: Task) -> dict[str, int | None]:
    """Which attempt a statement may touch."""
    return {"id": of.id, "worker": of.worker, "attempt": of.attempt}


def now() -> str:
    """The wall clock, for people."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
