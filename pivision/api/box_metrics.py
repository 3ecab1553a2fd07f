"""The metrics of what the box has and is at the moment that somebody asks."""

import contextlib
import platform
import threading
import time
from collections import Counter
from collections.abc import Iterator

import psutil
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pivision import __version__, heartbeat, history
from pivision.api.queue_age import QueueAge
from pivision.api.readiness import Ready
from pivision.api.system import temperature_celsius
from pivision.config import Settings
from pivision.errors import PiVisionError
from pivision.images import Images
from pivision.operations import OPERATIONS
from pivision.store import Store
from pivision.task import State

_OTHER = "other"  # an operation of an older program
_REST = 20  # reading all tasks takes at most one part in so many of the time, however often somebody asks


class BoxMetrics(Collector):
    """Reads the database, the run folder and the history each time that it is asked."""

    def __init__(self, settings: Settings, store: Store, images: Images, ready: Ready) -> None:
        self._settings = settings
        self._store = store
        self._images = images
        self._ready = ready
        self._queue_age = QueueAge()
        self._lock = threading.Lock()
        self._counts: dict[tuple[State, str], int] = {}
        self._counts_due = 0.0
        self._restarts: Counter[tuple[str, str]] = Counter()
        self._times: dict[tuple[int, str], int] = {}  # of each event in the history that was counted

    def collect(self) -> Iterator[Metric]:
        """All of them; without those of the tasks when the database does not answer."""
        with contextlib.suppress(PiVisionError):
            yield from list(self._of_tasks())
        yield self._of_restarts()
        yield self._of_workers()
        yield from self._of_machine()
        is_ready = all(found == "ok" for found in self._ready.checks().values())
        yield GaugeMetricFamily("pivision_ready", "1 while a task can be taken and finished.", float(is_ready))
        info = GaugeMetricFamily("pivision_build_info", "Always 1.", labels=["version", "python", "machine"])
        info.add_metric([__version__, platform.python_version(), platform.machine()], 1)
        yield info

    def _of_tasks(self) -> Iterator[Metric]:
        by_state = GaugeMetricFamily("pivision_tasks_by_state", "Tasks that are kept.", labels=["state"])
        for state, tasks in self._store.counts().items():
            by_state.add_metric([state], tasks)
        yield by_state

        counts = self._by_operation()
        by_operation = GaugeMetricFamily(
            "pivision_tasks", "Tasks that are kept, once for each of their operations.", labels=["state", "operation"]
        )
        for state in State:
            of_state = {name: tasks for (its_state, name), tasks in counts.items() if its_state == state}
            for name in OPERATIONS:
                by_operation.add_metric([state, name], of_state.pop(name, 0))
            if of_state:
                by_operation.add_metric([state, _OTHER], sum(of_state.values()))
        yield by_operation

        age = self._queue_age.seconds(*self._store.statistics.queue_ends())
        yield GaugeMetricFamily("pivision_queue_age_seconds", "How long the oldest queued task has waited.", age)

    def _by_operation(self) -> dict[tuple[State, str], int]:
        with self._lock:
            began = time.monotonic()
            if began >= self._counts_due:
                self._counts = self._store.statistics.counts_by_operation()
                ended = time.monotonic()
                self._counts_due = ended + _REST * (ended - began)
            return self._counts

    def _of_restarts(self) -> Metric:
        """Those in the history when the server was started, too: mostly it was one of them that did it."""
        with self._lock:
            with contextlib.suppress(OSError):  # what cannot be read now is counted later
                events = history.read(self._settings.data_dir)
                for event in events:
                    times = event.times - self._times.get((event.number, event.at), 0)
                    self._restarts[event.program, event.cause] += times
                self._times = {(event.number, event.at): event.times for event in events}
            restarts = dict(self._restarts)
        family = CounterMetricFamily("pivision_restarts", "What `why` tells, counted.", labels=["program", "cause"])
        for labels, times in sorted(restarts.items()):
            family.add_metric(labels, times)
        return family

    def _of_workers(self) -> Metric:
        beats = [heartbeat.read(self._settings.run_dir, number) for number in range(1, self._settings.workers + 1)]
        fresh = sum(beat is not None and beat.is_fresh() for beat in beats)
        family = GaugeMetricFamily("pivision_workers", "Workers by whether they give signs of life.", labels=["fresh"])
        family.add_metric(["true"], fresh)
        family.add_metric(["false"], len(beats) - fresh)
        return family

    def _of_machine(self) -> Iterator[Metric]:
        free, reserve = self._images.disk.free_bytes(), self._settings.disk_reserve_bytes
        yield GaugeMetricFamily("pivision_disk_free_bytes", "Free on the disk of the pictures.", free)
        yield GaugeMetricFamily("pivision_disk_reserve_bytes", "Of these, kept free for everything else.", reserve)
        available = psutil.virtual_memory().available
        yield GaugeMetricFamily("pivision_memory_available_bytes", "Memory that programs can still have.", available)
        if (celsius := temperature_celsius()) is not None:
            yield GaugeMetricFamily("pivision_temperature_celsius", "The processor's.", celsius)
