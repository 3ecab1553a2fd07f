"""What the event streams share: a bounded number of places, a bell that wakes them, and one reading for all of them."""

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import msgspec

from pivision.errors import PiVisionError, TooManyStreams
from pivision.store import Store
from pivision.store.rows import Change

_BATCH_TASKS = 50
_BATCHES_KEPT = 4  # streams that keep up ask for the same one
_NOTHING_SECONDS = 0.5  # a ring may be lost
_SYSTEM_SECONDS = 2.0  # how often to look
_SYSTEM_AGE_SECONDS = 10.0  # numbers that change all the time are told so often
_NUMBERS = {"uptime_seconds", "last_hour", "disk", "memory", "temperature_celsius"}


class Feed:
    """At most `places` streams at once, each in a thread that waits here."""

    def __init__(self, places: int) -> None:
        self._count = places
        self._places = threading.BoundedSemaphore(places)
        self._rung = threading.Condition()
        self._rings = 0
        self.closed = threading.Event()

    def enter(self) -> None:
        """Take a place, until `leave`. Raises TooManyStreams when there is none."""
        if not self._places.acquire(blocking=False):
            raise TooManyStreams(f"all {self._count} places for event streams are taken (event_streams)")

    def leave(self) -> None:
        """Give the place back."""
        self._places.release()

    @property
    def rings(self) -> int:
        """How often it has been rung: what a stream has seen before it looks."""
        return self._rings

    def ring(self) -> None:
        """Let the streams look: something may have changed."""
        with self._rung:
            self._rings += 1
            self._rung.notify_all()

    def wait(self, seen: int, timeout_seconds: float) -> None:
        """Wait until it has been rung more than `seen` times, at most `timeout_seconds`."""
        with self._rung:
            self._rung.wait_for(lambda: self._rings != seen, timeout_seconds)

    def close(self) -> None:
        """Let every stream end: the server stops."""
        self.closed.set()
        self._rings += 1  # without the lock: a signal may have come while this thread had it
        if self._rung.acquire(timeout=1.0):
            self._rung.notify_all()
            self._rung.release()


class Batch(NamedTuple):
    """What has changed since some revision, ready to be sent."""

    number: int  # of the last change in it, to go on from
    events: bytes


class Reading:
    """Reads what the streams tell, once for all of them, on one connection to the database."""

    def __init__(self, feed: Feed, store: Store, look: Callable[[], dict[str, Any]]) -> None:
        self._feed = feed
        self._store = store
        self._look = look
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="events")
        self._batches: OrderedDict[int, Batch] = OrderedDict()  # by the number of the change since when
        # Since which change nothing had changed, after which ring, and until when that counts.
        self._nothing = (-1, -1, 0.0)
        self._system = b""
        self._system_matters: dict[str, Any] = {}
        self._system_told = self._system_due = float("-inf")

    def change_numbers(self) -> tuple[int, int]:
        """As the store tells them."""
        return self._thread.submit(self._store.change_numbers).result()

    def since(self, number: int, rings: int) -> Batch:
        """What has changed since; `rings` were heard before asking. Nothing while the database is out of reach."""
        return self._thread.submit(self._since, number, rings).result()

    def system(self) -> bytes:
        """The event that tells of the whole system; another one when something that matters has changed."""
        return self._thread.submit(self._current_system).result()

    def _since(self, number: int, rings: int) -> Batch:
        if number in self._batches:  # tasks are told as they were, and those that changed again, again
            return self._batches[number]
        since, heard, until = self._nothing
        if since == number and heard >= rings and time.monotonic() < until:
            return Batch(number, b"")
        rings = self._feed.rings
        try:
            changes = self._store.changes_since(number, _BATCH_TASKS)
        except PiVisionError:
            changes = []
        if not changes:
            self._nothing = number, rings, time.monotonic() + _NOTHING_SECONDS
            return Batch(number, b"")
        batch = Batch(changes[-1].number, b"".join(_told(change) for change in changes))
        self._batches[number] = batch
        if len(self._batches) > _BATCHES_KEPT:
            self._batches.popitem(last=False)
        return batch

    def _current_system(self) -> bytes:
        now = time.monotonic()
        if now >= self._system_due:
            self._system_due = now + _SYSTEM_SECONDS
            with contextlib.suppress(PiVisionError):
                found = self._look()
                matters = {name: value for name, value in found.items() if name not in _NUMBERS}
                if matters != self._system_matters or now >= self._system_told + _SYSTEM_AGE_SECONDS:
                    self._system, self._system_matters, self._system_told = event("system", found), matters, now
        return self._system


def _told(change: Change) -> bytes:
    if change.task is None:
        return event("removed", {"id": change.task_id}, change.number)
    return event("task", change.task, change.number)


def event(name: str, data: object, number: int | None = None) -> bytes:
    """One event as it is sent. Its data is one line of JSON: what comes ready from the database may have more."""
    head = f"event: {name}\n" + (f"id: {number}\n" if number is not None else "")
    text = msgspec.json.encode(data).replace(b"\r", b" ").replace(b"\n", b" ")
    return head.encode() + b"data: " + text + b"\n\n"
