"""Housekeeping: what has been finished for long goes, and so do images that no task has.

Age is counted in running time of the appliance, never by the wall clock: a Pi without a battery may wake up in another
year, and nothing must be lost by that. Each step is small, so that it fits between two tasks.
"""

import itertools
import logging
import time
from collections.abc import Callable

from pivision import heartbeat
from pivision.images import Images
from pivision.store import Store

LIVE_KEPT_SECONDS = 60.0
"""How long a live task stays after it has finished: who waits for it reads it at once."""

_STEP_TASKS = 50  # removed with one commit
_STEP_SECONDS = 0.5  # then a task may be waiting; what is left has time until the next step
_KEPT_TASKS = 10  # however full the disk is: a result must live long enough to be read
_SECONDS_PER_DAY = 86400


class Retention:
    """Keeps the data folder within its bounds, step by step."""

    def __init__(self, store: Store, images: Images, max_age_days: float, wanted_free_bytes: int) -> None:
        self._store = store
        self._images = images
        self._max_age_seconds = max_age_days * _SECONDS_PER_DAY
        self._wanted_free_bytes = wanted_free_bytes
        self._shards = itertools.cycle(range(256))
        self._log = logging.getLogger("retention")

    def step(self) -> None:
        """Advance the clock, remove what is too old, and look through one folder of images.

        Live tasks go by the clock before it is advanced: what has finished since the last step counts as young.
        """
        give_up = time.monotonic() + _STEP_SECONDS
        self._remove_all("live", lambda: self._store.remove_live(LIVE_KEPT_SECONDS, _STEP_TASKS), give_up)
        self._store.tick(heartbeat.boot_id(), heartbeat.boottime())
        self._remove_all("expired", lambda: self._store.remove_expired(self._max_age_seconds, _STEP_TASKS), give_up)
        self._remove_unreferenced(self._images.shard(next(self._shards)))

    def make_room(self) -> None:
        """While less than the wanted space is free, remove what has been finished longest."""
        while self._images.free_bytes() < self._wanted_free_bytes:
            sha256s = self._store.remove_oldest(_STEP_TASKS, _KEPT_TASKS)
            if not sha256s:
                break
            self._log.info("tasks with %d images removed to free the disk", len(sha256s))
            self._remove_unreferenced(sha256s)

    def _remove_all(self, kind: str, remove: Callable[[], set[str]], give_up: float) -> None:
        """Remove step by step until nothing is left or the time is up; at least one step."""
        count = 0
        while sha256s := remove():
            count += len(sha256s)
            self._remove_unreferenced(sha256s)
            if time.monotonic() >= give_up:
                break
        if count:
            self._log.info("%s tasks with %d images removed", kind, count)

    def _remove_unreferenced(self, sha256s: set[str]) -> None:
        self._images.remove_unreferenced(sha256s, self._store.is_image_referenced)
