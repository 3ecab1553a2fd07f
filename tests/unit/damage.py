"""A data folder as a killed appliance leaves it, what its clients were told, and ways to damage it."""

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import apsw

from pivision.errors import ImageLost
from pivision.images import Images
from pivision.store import Store, soundness
from pivision.store.backup import Backups
from pivision.store.recovery import Recovery, Report
from pivision.task import Image, NewTask, State, Task, TaskError
from tests.unit.conftest import OPERATIONS

TASKS = 120
RESULT = b'{"codes":{"milliseconds":4.1,"codes":[]},"annotate":{"milliseconds":9,"sha256":"%s"}}' % (b"d" * 64)


class Request(NamedTuple):
    """What a client has asked for and was told."""

    sha256: str
    source: str | None
    idempotency_key: str | None


class Remains(NamedTuple):
    """A data folder, and the truth about it, which is kept outside."""

    data_dir: Path
    requests: dict[int, Request]
    states: dict[int, State]

    @property
    def database(self) -> Path:
        return self.data_dir / "pivision.db"

    @property
    def rescued(self) -> Path:
        return self.data_dir.parent / "rescued.db"

    def copied(self, to: Path, *, with_images: bool = True) -> "Remains":
        """A copy to be damaged; without images of its own it shares these."""
        shutil.copytree(self.data_dir, to / "data", ignore=None if with_images else shutil.ignore_patterns("images"))
        if not with_images:
            (to / "data" / "images").symlink_to(self.data_dir / "images")
        return self._replace(data_dir=to / "data")

    def recovery(self, progress: Callable[[], None] = lambda: None) -> Recovery:
        names = Images(self.data_dir / "images", reserve_bytes=0).names
        return Recovery(self.database, self.rescued, names, progress)

    def recover(self) -> Report | None:
        """What the next start does."""
        recovery = self.recovery()
        cause = recovery.is_needed()
        return recovery.run(cause) if cause else None


@contextlib.contextmanager
def killed_appliance() -> Iterator[Remains]:
    """What a killed appliance leaves, tasks in every state, in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="pv-"))
    yield remains(folder)
    shutil.rmtree(folder)


def remains(folder: Path, *, with_backup: bool = True) -> Remains:
    """Some of everything: finished and waiting, before a backup and after it, in the file and in its -wal."""
    data = folder / "live"
    store = Store(data / "pivision.db")
    images = Images(data / "images", reserve_bytes=0)
    requests: dict[int, Request] = {}
    store.tick("a boot", 1000)
    for number in range(1, TASKS + 1):
        sha256 = hashlib.sha256(str(number).encode()).hexdigest()
        images.path(sha256).write_bytes(b"a picture")
        key = f"key-{number}" if number % 3 == 0 else None
        source = f"camera {number} " + "x" * 150 if number % 2 else None
        task, _ = store.add(NewTask(Image(sha256, "jpeg", 640, 480, 12345), OPERATIONS, source, key))
        requests[task.id] = Request(sha256, source, key)
        if number % 4 == 0:
            step(store, number)
        if number == TASKS // 2 and with_backup:
            Backups(data, 3, 3600, 0).make(store)
            store.tick("a boot", 2000)
        if number == TASKS * 3 // 4:
            with contextlib.closing(apsw.Connection(str(store.file))) as raw:
                raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    assert store.claim(1), "one is at work"
    states = {task.id: task.state for task in all_tasks(store)}
    shutil.copytree(data, folder / "data")  # while it is open: what kill -9 leaves
    return Remains(folder / "data", requests, states)


def step(store: Store, number: int) -> None:
    """Let something happen to one of the tasks."""
    task = store.claim(1)
    assert task
    match number % 16:
        case 0:
            store.fail(task, TaskError("operation-failed", "it said no"))
        case 4:
            store.quarantine(task, TaskError("worker-died", "again"))
        case 8:
            store.requeue(task)
            store.cancel(task.id)
        case _:
            store.finish(task, RESULT)


def all_tasks(store: Store) -> list[Task]:
    return store.page(10_000)


def assert_nothing_is_lost(
    left: Remains, lost_images: frozenset[str] = frozenset(), *, was_recovered: bool = True
) -> dict[int, Task]:
    """Every acknowledged task is there, as it was asked for, once; ended as it had ended, or waiting to be done.

    A database that was not recovered, because it is sound, may say that a task runs: a worker puts it back.
    """
    waiting = {State.QUEUED} if was_recovered else {State.QUEUED, State.RUNNING}
    assert soundness.fault(left.database) is None
    store = Store(left.database)
    found = {task.id: task for task in all_tasks(store)}
    assert set(found) == set(left.requests)
    for task_id, request in left.requests.items():
        task = found[task_id]
        assert (task.image.sha256, task.source) == (request.sha256, request.source)
        assert bytes(task.operations) == bytes(OPERATIONS)
        if task.image.sha256 in lost_images and task.state is State.QUARANTINED and task.error:
            assert task.error.code in (ImageLost.code, "worker-died")
        else:
            assert task.state in {left.states[task_id], *waiting}
    for request in left.requests.values():
        if request.idempotency_key:
            new = NewTask(
                Image(request.sha256, "jpeg", 640, 480, 12345), OPERATIONS, request.source, request.idempotency_key
            )
            assert not store.add(new)[1], "a repeated request is still known"
    assert store.add(NewTask(Image("f" * 64, "jpeg", 1, 1, 1), OPERATIONS))[0].id > max(left.requests)
    return found
