"""Housekeeping: what has been finished for long goes, and so do images that no task has.

Age is counted in running time of the appliance, never by the wall clock: a Pi without a battery may wake up in another
year, and nothing must be lost by that. Each step is small, so that it fits between two tasks.
"""

import itertools
import logging

from pivision import heartbeat
from pivision.images import Images
from pivision.store import Store

_STEP_TASKS = 50
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
        """Advance the clock, remove what is too old, and look through one folder of images."""
        self._store.tick(heartbeat.boot_id(), heartbeat.boottime())
        self._remove("expired", self._store.remove_expired(self._max_age_seconds, _STEP_TASKS))
        self._remove_unreferenced(self._images.shard(next(self._shards)))

    def make_room(self) -> None:
        """While less than the wanted space is free, remove what has been finished longest."""
        while self._images.free_bytes() < self._wanted_free_bytes:
            if not self._remove("removed to free the disk", self._store.remove_oldest(_STEP_TASKS, _KEPT_TASKS)):
                break

    def _remove(self, reason: str, sha256s: set[str]) -> bool:
        if sha256s:
            self._log.info("tasks with %d images %s", len(sha256s), reason)
            self._remove_unreferenced(sha256s)
        return bool(sha256s)

    def _remove_unreferenced(self, sha256s: set[str]) -> None:
        self._images.remove_unreferenced(sha256s, self._store.is_image_referenced)
