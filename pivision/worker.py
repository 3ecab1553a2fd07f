"""The worker: claim a task, decode its image once, run its operations, finish it. One task at a time, one process each.

Run as `python -m pivision.worker NUMBER`. It may be killed at any moment: its attempt was counted when it claimed the
task, its lock is dropped by the kernel, and the next worker that starts puts the task back.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pivision import config, doorbell, heartbeat, memory, program, worker_lock, worker_sandbox
from pivision.errors import (
    DatabaseBusy,
    DatabaseUnusable,
    DeadlineExceeded,
    PiVisionError,
    StorageFull,
    StorageUnavailable,
    WorkerDied,
)
from pivision.opening import until_open
from pivision.retention import Retention
from pivision.store.backup import Backups
from pivision.task import Task, TaskError
from pivision.work import PASSING, Work, task_error

HAND_BACK_AFTER_SECONDS = 8.0
"""How long a task may go on after SIGTERM. conf/supervisord.conf's stopwaitsecs is longer."""

_LOOK_SECONDS = 5.0  # how often to look at the queue without being rung for
_HOUSEKEEPING_SECONDS = 60.0
_OPENING_SECONDS = 300.0  # without a sign of progress, on the slowest card; then another program may try
_WARM_UP_SECONDS = 300.0  # for all models that are wanted from the start
_OBSTACLES = (DatabaseBusy, DatabaseUnusable, StorageFull, StorageUnavailable)  # pass by themselves; others end this
_PATIENCE_SECONDS = 600.0  # with a picture that cannot be read just now: a bad sector is for good
_POSTPONED_KNOWN = 1000
_LIBC = ctypes.CDLL(None)


class Worker:
    """Worker number `number` of this appliance."""

    def __init__(self, number: int, settings: config.Settings) -> None:
        self._number = number
        self._settings = settings
        self._log = program.begin(f"worker-{number}")
        self._locks_dir = settings.run_dir / heartbeat.FOLDER
        program.make_private_folder(self._locks_dir)
        self._lock = worker_lock.hold(self._locks_dir, number)
        self._bell = doorbell.Doorbell(doorbell.worker_bell(settings.run_dir, number))
        self._gate, self._store, self._images = until_open(settings, self._promise_to_open, self._promise_to_open)
        self._retention = Retention(self._store, self._images, settings.max_age_days, settings.images_max_bytes)
        self._backups = Backups(
            settings.data_dir, settings.backups_kept, settings.backup_hours * 3600, settings.disk_reserve_bytes
        )
        self._store.fingerprint()  # so that all files of the database are there
        # Before any thread, so that all are restricted
        self._is_out_of_reach = worker_sandbox.enter(settings)
        self._work = Work(settings, self._store, self._images)
        self._beside = [_Beside(lambda: self._backups.step(self._store)), _Beside(self._work.try_models)]
        self._housekeeping_due = time.monotonic()
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._task: Task | None = None
        self._postponed_since: dict[int, float] = {}  # by task, in time.monotonic()

    def run(self) -> None:
        """Work until SIGTERM."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # before any thread, so that all inherit it
        threading.Thread(target=self._await_stop, daemon=True).start()
        threading.Thread(target=self._await_damage, daemon=True).start()
        if self._settings.operations_at_start:
            self._warm_up()
        self._log.info("ready")
        while self._task is not None or not self._stopping.is_set():
            try:
                if self._number == 1:
                    self._retention.keep_quota()
                if self._task is None:
                    if self._is_out_of_reach():
                        self._log.info("the models lie elsewhere now: this worker is started again, to read them")
                        break
                    self._keep_house()
                    self._task = self._store.claim(self._number)
                    if self._task is not None:
                        self._ring_server(self._task)
                if self._task is not None:
                    self._task = self._work_on(self._task)
                    continue
            except _OBSTACLES as error:
                self._log.warning("%s: %s", error.code, error)
            heartbeat.beat(self._settings.run_dir, self._number)
            if not self._bell.wait(_LOOK_SECONDS):
                self._work.rest()  # nothing to do for a while: the memory kept for the next picture goes back
                _LIBC.malloc_trim(0)
        self._stopped.set()
        self._log.info("stopped")

    def _warm_up(self) -> None:
        """Models may take longer, on a slow card or when they must be tried first, than health waits for a sign."""
        with contextlib.suppress(*_OBSTACLES):
            self._put_back_abandoned()  # while the last sign of life is that of this worker's predecessor
        heartbeat.beat(self._settings.run_dir, self._number, deadline_seconds=_WARM_UP_SECONDS)
        self._work.warm_up()

    def _work_on(self, task: Task) -> Task | None:
        """Work on the task, finish it, and return the next one if it was claimed with the same commit."""
        deadline_seconds = self._settings.task_deadline_seconds
        heartbeat.beat(self._settings.run_dir, self._number, task.id, deadline_seconds)
        self._limit_memory()
        signal.setitimer(signal.ITIMER_REAL, deadline_seconds)  # SIGALRM's default action ends this process, even in C
        with contextlib.ExitStack() as kept:
            try:
                result, error = self._work.result_of(task, kept)
            except (*PASSING, OSError) as obstacle:
                raise self._postponed(task, obstacle) from obstacle
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            while True:
                try:
                    finished, following = self._finish(task, result, error)
                    break
                except _OBSTACLES as obstacle:  # the work need not be done again
                    self._log.warning("task %d cannot be finished yet: %s", task.id, obstacle)
                    heartbeat.beat(self._settings.run_dir, self._number)
                    self._bell.wait(_LOOK_SECONDS)  # SIGTERM ends this, too: see _await_stop
        self._postponed_since.pop(task.id, None)
        if not finished:
            self._log.warning("task %d is no longer ours, its result is dropped", task.id)
        self._ring_server(task)
        return following

    def _postponed(self, task: Task, obstacle: Exception) -> PiVisionError:
        """Put back, behind the others, what something passing keeps from being done; give up what it does for long."""
        error = obstacle if isinstance(obstacle, PiVisionError) else StorageUnavailable(str(obstacle))
        now = time.monotonic()
        since = self._postponed_since.setdefault(task.id, now)
        if now - since >= _PATIENCE_SECONDS:
            self._store.fail(task, task_error(error), b"{}")
            del self._postponed_since[task.id]
        elif not self._store.defer(task):
            self._store.hand_back(task)
        while len(self._postponed_since) > _POSTPONED_KNOWN:
            del self._postponed_since[next(iter(self._postponed_since))]  # known longest
        self._task = None
        self._ring_server(task)
        return error

    def _ring_server(self, task: Task) -> None:
        """This task, and the next if it was claimed with the same commit, have made a step."""
        doorbell.ring(doorbell.server_bell(self._settings.run_dir), str(task.id).encode())

    def _finish(self, task: Task, result: bytes, error: TaskError | None) -> tuple[bool, Task | None]:
        """Finish the task, and claim the next with the same commit unless there is something else to do first."""
        with self._store.together():
            finished = self._store.finish(task, result) if error is None else self._store.fail(task, error, result)
            is_wanted_elsewhere = self._stopping.is_set() or time.monotonic() >= self._housekeeping_due
            return finished, None if is_wanted_elsewhere else self._store.claim(self._number)

    def _keep_house(self) -> None:
        if time.monotonic() < self._housekeeping_due:
            return
        self._put_back_abandoned()  # before the first heartbeat, which replaces the one that tells of the last death
        self._housekeeping_due = time.monotonic() + _HOUSEKEEPING_SECONDS  # a step that fails keeps no task waiting
        self._retention.step()
        for chore in self._beside:
            chore.start()

    def _put_back_abandoned(self) -> None:
        """Requeue or quarantine what dead workers had. Their locks tell that they are dead: the kernel drops them."""
        for task in self._store.running():
            if task.worker == self._number:
                self._put_back(task)
            elif task.worker is not None and (lock := worker_lock.try_hold(self._locks_dir, task.worker)):
                self._put_back(task)
                os.close(lock)

    def _put_back(self, task: Task) -> None:
        cause = self._cause_of_death(task)
        requeue = self._store.requeue_overrun if cause.code == DeadlineExceeded.code else self._store.requeue
        if task.attempt < self._settings.max_attempts and requeue(task):
            self._log.warning("task %d is queued again after attempt %d: %s", task.id, task.attempt, cause.detail)
            self._ring_server(task)
        elif self._store.quarantine(task, cause):
            self._log.error("task %d is quarantined after attempt %d: %s", task.id, task.attempt, cause.detail)
            self._ring_server(task)

    def _cause_of_death(self, task: Task) -> TaskError:
        try:
            last = heartbeat.look(self._settings.run_dir, task.worker or 0)
        except OSError as error:
            raise StorageUnavailable(f"why the worker of task {task.id} died is not known yet: {error}") from error
        attempt = f"on attempt {task.attempt} of {self._settings.max_attempts}"
        if last and last.task_id == task.id and last.is_past_deadline():
            seconds = self._settings.task_deadline_seconds
            return task_error(DeadlineExceeded(f"its worker was ended after {seconds:g} s, {attempt}"))
        return task_error(WorkerDied(f"its worker died at work {attempt}"))

    def _limit_memory(self) -> None:
        """Let a task map task_memory_bytes more than this process has mapped now; beyond that, allocations fail.

        Before each task anew: what an earlier one has left mapped is not counted against it.
        """
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit_bytes = pages * resource.getpagesize() + self._settings.task_memory_bytes
        _soft, hard_bytes = resource.getrlimit(resource.RLIMIT_AS)
        if hard_bytes != resource.RLIM_INFINITY:
            limit_bytes = min(limit_bytes, hard_bytes)
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, hard_bytes))

    def _await_stop(self) -> None:
        """On SIGTERM let the task at hand finish, or hand it back if that takes too long.

        A thread, because a signal handler would have to wait until OpenCV returns to the interpreter.
        """
        signal.sigwait({signal.SIGTERM})
        self._stopping.set()
        doorbell.ring(doorbell.worker_bell(self._settings.run_dir, self._number))
        if self._stopped.wait(HAND_BACK_AFTER_SECONDS):
            return
        try:
            if (task := self._task) and self._store.hand_back(task):
                self._log.info("stopped, task %d handed back", task.id)
        finally:
            os._exit(0)

    def _await_damage(self) -> None:
        """End with the database: what is at work is done again once it is recovered."""
        try:
            damage = self._gate.watch(self._store)
            self._log.error("this worker ends, so that the database is recovered: %s", damage)
        finally:
            os._exit(1)

    def _promise_to_open(self, obstacle: PiVisionError | None = None) -> None:
        """Not before there is an obstacle: the last sign of life of this worker's predecessor tells why it died."""
        heartbeat.beat(self._settings.run_dir, self._number, deadline_seconds=_OPENING_SECONDS)


class _Beside:
    """A chore in a thread of its own, one at a time: the tasks need not wait for it."""

    def __init__(self, chore: Callable[[], None]) -> None:
        self._chore = chore
        self._thread = threading.Thread()

    def start(self) -> None:
        """Begin, unless it is still at it."""
        if not self._thread.is_alive():
            self._thread = threading.Thread(target=self._chore, daemon=True)
            self._thread.start()


def main() -> None:
    """`python -m pivision.worker NUMBER`, with NUMBER from 1."""
    memory.go_first()
    try:
        Worker(int(sys.argv[1]), config.load()).run()
    except PiVisionError as error:
        sys.exit(f"{error.code}: {error}\n{error.remedy}")


if __name__ == "__main__":
    main()
