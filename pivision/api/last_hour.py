"""The last hour in minutes: how long the queue was, and how many tasks were finished. No wall clock is asked."""

import contextlib
import threading
import time
from collections.abc import Callable

import msgspec

from pivision.errors import PiVisionError
from pivision.store import Store

MINUTES = 60
_MINUTE_SECONDS = 60.0
_SAMPLE_SECONDS = 5.0


class HourReport(msgspec.Struct, frozen=True):
    """One number for each of the last sixty minutes, oldest first; the last one is the minute that it is now."""

    queue: list[int]  # the most tasks that were waiting or at work; 0 before the server was started
    finished: list[
        int
    ]  # tasks that ended, in whatever way, by the appliance's running time; for as long as they are kept


class LastHour:
    """Remembers how long the queue was; how many tasks were finished, the database knows."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._peaks: dict[int, int] = {}  # by the minute of the clock

    def keep(self) -> None:
        """Look at the queue every few seconds, for ever."""
        while True:
            with contextlib.suppress(PiVisionError):  # what is out of reach for a while is a gap
                self.sample()
            time.sleep(_SAMPLE_SECONDS)

    def sample(self) -> None:
        """Look at the queue."""
        length = self._store.statistics.unfinished()
        minute = self._minute()
        with self._lock:
            self._peaks[minute] = max(length, self._peaks.get(minute, 0))
            for old in [each for each in self._peaks if each <= minute - MINUTES]:
                del self._peaks[old]

    def look(self) -> HourReport:
        """The hour up to now."""
        self.sample()
        newest = self._minute()
        with self._lock:
            queue = [self._peaks.get(minute, 0) for minute in range(newest - MINUTES + 1, newest + 1)]
        ended = self._store.statistics.ended_by_minute(MINUTES)
        return HourReport(queue, [ended.get(ago, 0) for ago in range(MINUTES - 1, -1, -1)])

    def _minute(self) -> int:
        return int(self._clock() // _MINUTE_SECONDS)
