"""Who guesses tokens is slowed down; who has shown a right one before is not, even beside one who guesses."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from pivision.errors import TooManyAttempts

_AT_ONCE = 30
_PER_SECOND = 1.0
_ADDRESSES = 1024
_PAIRS = 1024


class Slowing:
    """Counts the wrong tokens of each address, of the latest ones: what it keeps is bounded."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # how many more are looked at, as of when
        self._right: OrderedDict[tuple[str, str], None] = OrderedDict()

    def check(self, address: str, digest: str) -> None:
        """Raise TooManyAttempts when the token with this digest must not be looked at now."""
        with self._lock:
            if (address, digest) not in self._right and self._left_of(address) < 1:
                raise TooManyAttempts("this address has sent too many wrong tokens")

    def wrong(self, address: str, digest: str) -> None:
        """It was none."""
        with self._lock:
            self._right.pop((address, digest), None)  # it has been one
            self._left[address] = max(0.0, self._left_of(address) - 1), self._clock()
            self._left.move_to_end(address)
            if len(self._left) > _ADDRESSES:
                self._left.popitem(last=False)

    def right(self, address: str, digest: str) -> None:
        """It was one."""
        with self._lock:
            self._right[address, digest] = None
            self._right.move_to_end((address, digest))
            if len(self._right) > _PAIRS:
                self._right.popitem(last=False)

    def _left_of(self, address: str) -> float:
        now = self._clock()
        left, since = self._left.get(address, (float(_AT_ONCE), now))
        return min(float(_AT_ONCE), left + (now - since) * _PER_SECOND)
