"""What a task is, the states of its life, and the steps between them. Pure: no database, no clock.

docs/state_machine.md draws the same picture.
"""

import enum
from typing import Literal

import msgspec

from pivision import errors


class State(enum.StrEnum):
    """Where a task stands."""

    QUEUED = "queued"  # waits for a worker
    RUNNING = "running"  # one worker has it; the attempt is counted
    DONE = "done"  # the result is there
    FAILED = "failed"  # every operation said no; running it again would change nothing
    QUARANTINED = "quarantined"  # its workers died on every attempt; kept for a person
    CANCELLED = "cancelled"  # a person took it out of the queue


TRANSITIONS: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset({State.DONE, State.FAILED, State.QUEUED, State.QUARANTINED}),
    State.DONE: frozenset(),
    State.FAILED: frozenset({State.QUEUED}),
    State.QUARANTINED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset({State.QUEUED}),
}
"""Every legal step, by the state it starts from."""

FINISHED = frozenset(State) - {State.QUEUED, State.RUNNING}
"""States in which nothing more happens unless a person asks for it."""


Lane = Literal["batch", "live"]
"""Which tasks go first: `live` ones, for which somebody waits, and which are forgotten soon after."""


class Image(msgspec.Struct, frozen=True):
    """The picture of a task, as its own header describes it."""

    sha256: str
    format: str  # jpeg, png, webp or bmp
    width_px: int  # of the upright image, after the EXIF orientation was applied
    height_px: int
    size_bytes: int


class TaskError(msgspec.Struct, frozen=True):
    """Why a task, or one operation of it, has no result."""

    code: str
    detail: str
    remedy: str = ""  # what to do about it; goes by the code

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "remedy", errors.kind_of(self.code).remedy)


class NewTask(msgspec.Struct, frozen=True):
    """What a client asks for, checked and ready to be stored."""

    image: Image
    operations: msgspec.Raw  # JSON: [{"name": …, "params": {…}}, …]
    source: str | None = None  # where the picture came from, in the client's words
    idempotency_key: str | None = None
    lane: Lane = "batch"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task as the API shows it. Times are UTC in ISO 8601 and written for people: nothing is decided by them."""

    id: int
    state: State
    operations: msgspec.Raw
    result: msgspec.Raw | None  # JSON: {operation: {"milliseconds": …, …}}
    error: TaskError | None
    attempt: int  # how often a worker has taken it, without those that handed it back
    source: str | None
    lane: Lane = "batch"
    image: Image
    worker: int | None  # the worker that has it now
    created_at: str
    started_at: str | None
    finished_at: str | None
