"""How long the task has waited that waits longest, without a look at the wall clock.

A Pi has no battery clock, so created_at may lie years beside now. What the server does know is which ids had been given
by when, in its own time: CLOCK_MONOTONIC.
"""

import threading
import time
from bisect import bisect_left
from collections import deque

_LOOKS_KEPT = 1000


class QueueAge:
    """Remembers, of each look at the queue, when it was and which id was the last.

    So a task counts as waiting since the first look after it was made: an age is short by at most the time between two
    looks, and a server that was restarted begins anew.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks: deque[tuple[int, float]] = deque(maxlen=_LOOKS_KEPT)  # the last id, and when that was first so
        self._oldest_id: int | None = None
        self._since = 0.0

    def seconds(self, oldest_id: int | None, last_id: int) -> float:
        """The age of the queue whose oldest task is `oldest_id`; 0 if it is empty."""
        now = time.monotonic()
        with self._lock:
            if not self._looks or last_id > self._looks[-1][0]:
                self._looks.append((last_id, now))
            if oldest_id is None:
                self._oldest_id = None
                return 0.0
            if oldest_id != self._oldest_id:
                is_next = self._oldest_id is not None and oldest_id > self._oldest_id  # else it came back by a retry
                seen = bisect_left(self._looks, oldest_id, key=lambda look: look[0])
                self._since = self._looks[seen][1] if is_next and seen < len(self._looks) else now
                self._oldest_id = oldest_id
            return now - self._since
