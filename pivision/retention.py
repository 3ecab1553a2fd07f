"""Housekeeping: finished tasks past their age, or beyond the quota of the images, go, and images that no task has.

Age is counted in running time of the appliance, never by the wall clock: a Pi without a battery may wake up in another
year, and nothing must be lost by that. The quota is compared with what the images themselves take, never with how full
the disk is: a disk that something else fills refuses new images and costs none of those that are there. Each step is
small, so that it fits between two tasks.
"""

import contextlib
import itertools
import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from pivision import heartbeat
from pivision.errors import StorageUnavailable
from pivision.images import Images
from pivision.store import Store

LIVE_KEPT_SECONDS = 60.0
"""How long a live task stays after it has finished: who waits for it reads it at once."""

_STEP_TASKS = 50  # removed with one commit
_STEP_SECONDS = 0.5  # then a task may be waiting; what is left has time until the next step
_KEPT_TASKS = 10  # however small the quota is: a result must live long enough to be read
_FILES = 3  # an image, its preview and a drawing, whose sizes no row has: so no step removes more than must go
_SECONDS_PER_DAY = 86400
_FOLDERS = 256
_COUNT_PAUSE_SECONDS = 1.0  # between two looks at the folders' times, half a millisecond each
_COUNT_SECONDS = 0.05  # of reading folders in one look: a million files take some looks more and delay no task


class Retention:
    """Keeps the data folder within its bounds, step by step.

    `max_bytes` is the quota of the images with previews and drawings; 0: half of the disk that they are on.
    """

    def __init__(self, store: Store, images: Images, max_age_days: float, max_bytes: int) -> None:
        self._store = store
        self._images = images
        self._max_age_seconds = max_age_days * _SECONDS_PER_DAY
        self._max_bytes = max_bytes
        self._shards = itertools.cycle(range(_FOLDERS))
        self._usage = _Usage(images)
        self._count_due = time.monotonic()
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

    def keep_quota(self) -> None:
        """While the images take more than their quota, remove the tasks that have been finished longest.

        For one process of the appliance: two would each remove what is too much.
        """
        now = time.monotonic()
        if now < self._count_due:
            return
        self._count_due = now + _COUNT_PAUSE_SECONDS
        used_bytes = self._usage.count(now + _COUNT_SECONDS)
        quota_bytes = self._max_bytes or self._images.disk.size_bytes() // 2
        if used_bytes is None or not quota_bytes or used_bytes <= quota_bytes:
            return
        excess_bytes = used_bytes - quota_bytes
        while excess_bytes > 0 and time.monotonic() < now + _STEP_SECONDS:
            sha256s = self._store.remove_oldest(excess_bytes // _FILES, _STEP_TASKS, _KEPT_TASKS)
            if not sha256s:
                break
            excess_bytes -= self._remove_unreferenced(sha256s)
            self._log.info("tasks with %d images removed: above %d bytes (images_max_bytes)", len(sha256s), quota_bytes)

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

    def _remove_unreferenced(self, sha256s: set[str]) -> int:
        return self._images.remove_unreferenced(sha256s, self._store.is_image_referenced)


class _Folder(NamedTuple):
    """What was found in one of the folders of images."""

    size_bytes: int
    changed_ns: int
    is_settled: bool  # read once more after it had changed: the time of a folder is only as fine as the kernel's tick


class _Usage:
    """Counts the bytes of the images: only folders that have changed are read again, a few in each look.

    By the files and not by the rows: a row that is damaged, or comes from elsewhere, may claim any size.
    """

    def __init__(self, images: Images) -> None:
        self._images = images
        self._folders: dict[int, _Folder] = {}
        self._changed_ns: dict[int, int] = {}  # at the begin of this round
        self._unread: list[int] = []  # in this round

    def count(self, give_up: float) -> int | None:
        """Read on until the time is up; the bytes of all folders when each that had changed was read, else None."""
        try:
            if not self._unread:
                self._changed_ns = self._images.shards_changed_ns()
                self._unread = [number for number in self._changed_ns if not self._is_known(number)]
        except StorageUnavailable:
            return None
        while self._unread:
            with contextlib.suppress(StorageUnavailable):  # counts as it was last seen, and is read in the next round
                self._read(self._unread.pop())
            if time.monotonic() >= give_up and self._unread:
                return None
        return sum(self._folders[number].size_bytes for number in self._changed_ns if number in self._folders)

    def _is_known(self, number: int) -> bool:
        known = self._folders.get(number)
        return known is not None and known.is_settled and known.changed_ns == self._changed_ns[number]

    def _read(self, number: int) -> None:
        known, changed_ns = self._folders.get(number), self._changed_ns[number]
        is_settled = known is not None and known.changed_ns == changed_ns
        self._folders[number] = _Folder(self._images.shard_bytes(number), changed_ns, is_settled)
