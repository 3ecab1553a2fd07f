"""Requests that wait for a task to finish: a bounded number, woken by the worker's ring."""

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

from pivision.errors import TooManyWaiting
from pivision.task import FINISHED, Task

_LOOK_SECONDS = 1.0  # how often to look without being woken: a ring may be lost


class Waiting:
    """At most `seats` requests may wait at once, so that threads remain for everybody else."""

    def __init__(self, seats: int) -> None:
        self._count = seats
        self._seats = threading.BoundedSemaphore(seats)
        self._lock = threading.Lock()
        self._waiters: defaultdict[int, set[threading.Event]] = defaultdict(set)  # by task id
        self._closed = False

    @contextlib.contextmanager
    def seat(self) -> Iterator[None]:
        """Hold a seat. Raises TooManyWaiting at once when there is none: before anything was stored."""
        if not self._seats.acquire(blocking=False):
            raise TooManyWaiting(f"all {self._count} seats for waiting requests are taken (server_threads)")
        try:
            yield
        finally:
            self._seats.release()

    def until_finished(self, task_id: int, timeout_seconds: float, read: Callable[[int], Task]) -> Task:
        """Wait until the task has finished, at most `timeout_seconds`, and return it as it is then."""
        give_up = time.monotonic() + timeout_seconds
        with self._registered(task_id) as woken:
            while True:
                task = read(task_id)
                rest_seconds = give_up - time.monotonic()
                if task.state in FINISHED or rest_seconds <= 0 or self._closed:
                    return task
                woken.wait(min(rest_seconds, _LOOK_SECONDS))
                woken.clear()

    def wake(self, task_id: int) -> None:
        """Tell those who wait for this task to look."""
        with self._lock:
            for woken in self._waiters.get(task_id, ()):
                woken.set()

    def close(self) -> None:
        """Let everybody answer with what there is: the server stops."""
        self._closed = True
        for task_id in list(self._waiters):
            self.wake(task_id)

    @contextlib.contextmanager
    def _registered(self, task_id: int) -> Iterator[threading.Event]:
        woken = threading.Event()
        with self._lock:
            self._waiters[task_id].add(woken)
        try:
            yield woken
        finally:
            with self._lock:
                self._waiters[task_id].discard(woken)
                if not self._waiters[task_id]:
                    del self._waiters[task_id]
