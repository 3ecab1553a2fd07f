"""What has become of the tasks since the server was started: each that has ended is counted once."""

import threading
from collections.abc import Iterator, Sequence

import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram

from pivision.operations import OPERATIONS
from pivision.store import Store
from pivision.store.rows import End

_PAGE = 1000


class _Timed(msgspec.Struct):
    milliseconds: float | None = None


_RESULT = msgspec.json.Decoder(dict[str, _Timed])


class Ends:
    """Looks for tasks that have ended, whenever somebody asks, and keeps the times of their operations.

    By the appliance's clock and not by ids, since tasks do not end in the order of those. Many end in one of its
    seconds, so the last second is read again each time, with the ones known that were counted already.
    """

    def __init__(self, store: Store, registry: CollectorRegistry, buckets_seconds: Sequence[float]) -> None:
        self._store = store
        self._seconds = Histogram(
            "pivision_operation_seconds",
            "How long an operation took, of tasks that have ended.",
            ["operation"],
            registry=registry,
            buckets=buckets_seconds,
        )
        self._attempts = Counter(
            "pivision_attempts", "How often a worker had taken the tasks that have ended.", registry=registry
        )
        for name in OPERATIONS:
            self._seconds.labels(name)
        self._lock = threading.Lock()
        self._since = store.fingerprint().last_end_seconds or 0
        self._known = {_key(end) for end in self._ended()}  # those that have ended in the second `_since`

    def count(self) -> None:
        """Count what has ended since the last time."""
        with self._lock:
            for end in self._ended():
                key = _key(end)
                if end.running_seconds > self._since:
                    self._since = end.running_seconds
                    self._known.clear()
                if key not in self._known:
                    self._known.add(key)
                    self._observe(end)

    def _ended(self) -> Iterator[End]:
        """Those that have ended in the second `_since` or later."""
        after = self._since, 0
        while page := self._store.statistics.ended_since(*after, _PAGE):
            yield from page
            after = page[-1].running_seconds, page[-1].id

    def _observe(self, end: End) -> None:
        self._attempts.inc(end.attempt)
        for name, timed in (_RESULT.decode(end.result) if end.result else {}).items():
            if name in OPERATIONS and timed.milliseconds is not None:
                self._seconds.labels(name).observe(timed.milliseconds / 1000)


def _key(end: End) -> tuple[int, str]:
    return end.id, end.finished_at  # a task that was retried ends again
