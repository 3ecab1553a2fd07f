"""Whether a transfer keeps to a minimum rate."""

import time


class Pace:
    """The rate of a transfer, over one window after the other: what came early does not excuse a stop."""

    def __init__(self, min_bytes_per_second: float, window_seconds: float) -> None:
        self._min_bytes_per_second = min_bytes_per_second
        self._window_seconds = window_seconds
        self.start()

    def start(self) -> None:
        """Begin to measure."""
        self._began = time.monotonic()
        self._bytes = 0

    def add(self, size_bytes: int) -> None:
        """Count what was transferred."""
        self._bytes += size_bytes

    def is_too_slow(self, now: float) -> bool:
        """Whether a window has ended by `now`, of time.monotonic(), in which too little was transferred."""
        elapsed_seconds = now - self._began
        if elapsed_seconds < self._window_seconds:
            return False
        is_too_slow = self._bytes < elapsed_seconds * self._min_bytes_per_second
        self.start()
        return is_too_slow
