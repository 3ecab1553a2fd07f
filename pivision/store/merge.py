"""A new database from what is left of others, the newest first: each id is taken from the first that has it."""

import collections
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import apsw

from pivision.errors import ImageLost
from pivision.store import plausibility, queries, salvage, schema
from pivision.store.ledger import Request
from pivision.store.rows import Row, now
from pivision.store.salvage import Source
from pivision.task import State

_QUERIES = queries.load("recovery.sql")
_ROWS_BETWEEN_SIGNS = 500
_UNFINISHED = {State.QUEUED, State.RUNNING}

T = TypeVar("T")

_REQUEST_COLUMNS = (
    "operations",
    "source",
    "image_sha256",
    "image_format",
    "image_width_px",
    "image_height_px",
    "image_size_bytes",
    "idempotency_key",
    "created_at",
    "lane",
)
_PROGRESS_COLUMNS = (
    "id",
    "state",
    "attempt",
    "worker",
    "result",
    "error_code",
    "error_detail",
    "started_at",
    "finished_at",
    "finished_running_seconds",
)


class Merge:
    """The new database, on its open connection.

    A source that is sound has the last word on every id up to its own last one: what it lacks of those was removed.
    A damaged one has no such word, and a row in it counts only if nothing else tells the request differently.
    Live tasks that have not ended are left out: nobody waits for them any more, and most of those that a ledger or an
    older copy knows have been done and removed since.
    """

    def __init__(self, connection: apsw.Connection, progress: Callable[[], None]) -> None:
        self._connection = connection
        self._progress = progress
        self._covered_id = 0
        self._refused: set[int] = set()
        self.taken: collections.Counter[str] = collections.Counter()

    def take_rows(self, source: Source, known_ids: int, requests: dict[int, Request], backup: Path | None) -> None:
        """Take the rows of a database."""
        with contextlib.ExitStack() as stack:
            other = stack.enter_context(contextlib.closing(salvage.opened(backup))) if backup else None
            for row in self._steadily(salvage.all_rows(source.file, known_ids, self._refused)):
                if row["id"] <= self._covered_id:
                    continue
                if not source.is_sound and _is_contradicted(row, requests, other):
                    self._refused.add(row["id"])
                else:
                    self._take(row, source.name)
        if source.is_sound:
            self._covered_id = max(self._covered_id, salvage.last_id(source.file))

    def take_requests(self, requests: Iterable[Request]) -> None:
        """Queue what the ledgers know and no database has."""
        for request in self._steadily(requests):
            if request.id > self._covered_id:
                self._take({"id": request.id, "state": "queued", "attempt": 0, **_columns(request)}, "ledger")

    def finish(self, last_id: int, newest_change: int, clock: dict[str, object] | None) -> None:
        """Bring ids, changes and clock to where they were."""
        self._run("set_last_id", last_id=last_id)
        self._run("renumber_changes", newest_change=newest_change)
        self._run("forget_changes")
        if clock is not None and plausibility.is_clock(clock):  # else damaged
            self._run("set_clock", **clock)

    def requeue_running(self) -> None:
        """Put back into the queue what was at work."""
        self._run("requeue_running")

    def correct_sizes(self, sizes: Mapping[str, int]) -> None:
        """Let each task say the true size of its image, where that is there."""
        for sha256, size_bytes in self._run("sizes"):
            if (true_bytes := sizes.get(sha256)) not in (None, 0, size_bytes):
                self._run("correct_size", sha256=sha256, size_bytes=true_bytes)

    def quarantine_without_image(self, images: set[str]) -> int:
        """Set aside what waits for a worker and has no picture any more; return how many these are."""
        lost = [row for row in self._run("waiting") if row[1] not in images]
        for task_id, sha256 in lost:
            detail = f"image {sha256[:12]}… was not there when the database was recovered"
            self._run("quarantine", id=task_id, code=ImageLost.code, detail=detail, now=now())
        return len(lost)

    def count_unreferenced(self, images: set[str]) -> int:
        """How many of the images no task has."""
        return len(images.difference(sha256 for (sha256,) in self._run("images")))

    def count_not_recovered(self) -> int:
        """How many ids have a row that cannot be read, or must not be trusted, and are known from nowhere else."""
        return sum(not self._run("has", id=task_id)[0][0] for task_id in self._refused)

    def _take(self, row: Row, origin: str) -> None:
        values = {**{column: row.get(column) for column in _PROGRESS_COLUMNS}, **_request(row)}
        if values["lane"] == "live" and values["state"] in _UNFINISHED:
            self._refused.discard(values["id"])
            return
        if self._run("has", id=values["id"])[0][0]:
            return
        if not plausibility.is_row(values):
            self._refused.add(values["id"])
            return
        for attempt in (values, {**values, "idempotency_key": None}):  # a key may have been used anew since
            with contextlib.suppress(apsw.ConstraintError):
                self._run("insert_row", **attempt)
                self.taken[origin] += 1
                return
        self._refused.add(row["id"])

    def _steadily(self, items: Iterable[T]) -> Iterator[T]:
        for number, item in enumerate(items):
            if number % _ROWS_BETWEEN_SIGNS == 0:
                self._progress()
            yield item

    def _run(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return list(self._connection.execute(_QUERIES[query], parameters))


@contextlib.contextmanager
def into(file: Path, progress: Callable[[], None]) -> Iterator[Merge]:
    """Make a database at `file`, in one transaction; what is left of an earlier attempt is removed first."""
    for leftover in (file, *(file.with_name(file.name + suffix) for suffix in ("-wal", "-shm", "-journal"))):
        leftover.unlink(missing_ok=True)
    with contextlib.closing(apsw.Connection(str(file))) as connection:
        schema.create(connection)
        connection.execute(_QUERIES["begin"])
        yield Merge(connection, progress)
        connection.execute(_QUERIES["commit"])
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def _request(row: Row) -> Row:
    """What was asked for, in a row of whatever schema: the first one had no lanes."""
    row = {"lane": "batch", **row}
    return {column: row.get(column) for column in _REQUEST_COLUMNS}


def _columns(request: Request) -> Row:
    return {
        "operations": bytes(request.operations).decode(),
        "source": request.source,
        "image_sha256": request.image.sha256,
        "image_format": request.image.format,
        "image_width_px": request.image.width_px,
        "image_height_px": request.image.height_px,
        "image_size_bytes": request.image.size_bytes,
        "idempotency_key": request.idempotency_key,
        "created_at": request.created_at,
        "lane": request.lane,
    }


def _is_contradicted(row: Row, requests: dict[int, Request], backup: apsw.Connection | None) -> bool:
    """Whether the ledger or the backup tells this request differently."""
    request = requests.get(row["id"])
    told = _columns(request) if request else salvage.row(backup, row["id"]) if backup else None
    return told is not None and _request(row) != _request(told)
