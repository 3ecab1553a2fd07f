"""Live tasks: they go first, are forgotten soon, and are worth no recovery. And the batch, which must not suffer."""

import contextlib
import io
import shutil
from pathlib import Path

import apsw
import pytest

from pivision.images import Images
from pivision.retention import LIVE_KEPT_SECONDS, Retention
from pivision.store import Store, backup, ledger
from pivision.store.backup import Backups
from pivision.task import Lane, State
from tests.unit.conftest import NO_QUOTA, new_task
from tests.unit.damage import Remains
from tests.unit.test_store import DEATH, ERROR, claimed

ALL = 1000


def added(store: Store, *lanes: Lane) -> list[int]:
    return [store.add(new_task(lane=lane))[0].id for lane in lanes]


def test_live_tasks_go_first_each_lane_by_age(store: Store) -> None:
    added(store, "batch", "live", "batch", "live", "batch")
    assert [claimed(store).id for _ in range(5)] == [2, 4, 1, 3, 5]
    assert store.claim(1) is None


def test_a_live_task_that_is_queued_again_goes_first_again(store: Store) -> None:
    added(store, "batch", "live", "live")
    first = claimed(store)
    store.requeue(first)
    assert claimed(store).id == first.id
    store.fail(store.get(first.id), ERROR)
    store.retry(first.id)
    assert [claimed(store).id for _ in range(3)] == [2, 3, 1]


def test_the_lane_is_kept_and_is_batch_unless_said(store: Store) -> None:
    added(store, "live")
    store.add(new_task())
    assert [store.get(task_id).lane for task_id in (1, 2)] == ["live", "batch"]
    assert [request.lane for request in ledger.read(store.file.parent / "requests.jsonl")] == ["live", "batch"]


def test_no_other_lane_can_be_written(store: Store) -> None:
    added(store, "live")
    with contextlib.closing(apsw.Connection(str(store.file))) as raw:
        for lane in ("'fast'", "NULL"):
            with pytest.raises(apsw.ConstraintError):
                raw.execute(f"UPDATE task SET lane = {lane}")


def pages_of(store: Store, index: str) -> int:
    with contextlib.closing(apsw.Connection(str(store.file))) as raw:
        ((rows,),) = raw.execute(f"SELECT sum(ncell) FROM dbstat WHERE name = '{index}'").fetchall()
        assert isinstance(rows, int)
        return rows


def test_tasks_of_the_batch_are_in_no_index_but_their_own(store: Store) -> None:
    for _ in range(20):
        store.add(new_task())
        store.finish(claimed(store), b"{}")
    assert [pages_of(store, index) for index in ("task_live", "task_by_drawing", "task_by_source")] == [0, 0, 0]
    added(store, "live")
    assert pages_of(store, "task_live") == 1


@pytest.mark.parametrize("lane", ["batch", "live"])
@pytest.mark.parametrize("state", State)
def test_what_goes_soon(store: Store, state: State, lane: Lane) -> None:
    added(store, lane)
    if state is State.CANCELLED:
        store.cancel(1)
    elif state is not State.QUEUED:
        task = claimed(store)
        match state:
            case State.DONE:
                store.finish(task, b"{}")
            case State.FAILED:
                store.fail(task, ERROR)
            case State.QUARANTINED:
                store.quarantine(task, DEATH)
    store.tick("a boot", 59)
    assert store.remove_live(60, ALL) == set()
    store.tick("a boot", 60)
    is_removed = lane == "live" and state in (State.DONE, State.FAILED, State.CANCELLED)
    assert store.remove_live(60, ALL) == ({"a" * 64} if is_removed else set())
    assert store.counts()[state] == (0 if is_removed else 1)


def test_no_more_go_at_once_than_asked_for(store: Store) -> None:
    added(store, "live", "live", "live", "live", "live")
    for _ in range(5):
        store.finish(claimed(store), b"{}")
    store.tick("a boot", 60)
    left = []
    while store.remove_live(60, 2):
        left.append(store.counts()[State.DONE])
    assert left == [3, 1, 0]


def test_one_step_of_the_housekeeping_removes_a_minute_of_cameras(store: Store, images: Images) -> None:
    """Several a second for a minute, all by themselves; and their pictures go with them."""
    retention = Retention(store, images, max_age_days=36_500, max_bytes=NO_QUOTA)
    store.tick("an earlier boot", 1000)
    with store.together():
        for number in range(400):
            with images.receive(io.BytesIO(b"%d" % number), 100) as image, image.kept():
                store.add(new_task(image.sha256, lane="live"))
        for _ in range(400):
            store.finish(claimed(store), b"{}")
        store.add(new_task())
        store.finish(claimed(store), b"{}")
    retention.step()  # this boot's uptime is added only now: nothing was old before
    assert store.counts()[State.DONE] == 401
    store.tick("another boot", LIVE_KEPT_SECONDS)
    while store.counts()[State.DONE] > 1:  # once on any machine that removes 400 rows within half a second
        retention.step()
    assert images.names() == set()


def test_a_step_takes_its_time_and_no_more(store: Store, images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pivision.retention._STEP_SECONDS", 0.0)
    with store.together():
        for _ in range(120):
            added(store, "live")
        for _ in range(120):
            store.finish(claimed(store), b"{}")
    store.tick("another boot", LIVE_KEPT_SECONDS)
    retention = Retention(store, images, max_age_days=36_500, max_bytes=NO_QUOTA)
    left = []
    for _ in range(3):
        retention.step()
        left.append(store.counts()[State.DONE])
    assert left == [70, 20, 0], "one portion each, and the task that waits comes next"


# Who waited is gone when a database has been recovered.


def remains(folder: Path) -> Remains:
    """A killed appliance: live tasks done and removed, done, waiting and at work; and two of the batch."""
    store = Store(folder / "live" / "pivision.db")
    images = Images(folder / "live" / "images", reserve_bytes=0)
    images.path("a" * 64).write_bytes(b"a picture")
    added(store, "live", "live")
    Backups(store.file.parent, 3, 3600, 0).make(store)  # knows both as waiting
    for _ in range(2):
        store.finish(claimed(store), b"{}")
    store.tick("a boot", 1000)
    store.remove_live(0, 1)
    added(store, "batch", "live", "batch", "live")
    assert claimed(store).id == 4
    shutil.copytree(folder / "live", folder / "data")
    return Remains(folder / "data", {}, {})


@pytest.mark.parametrize("readable", [True, False])
def test_what_was_live_and_had_not_ended_is_not_brought_back(tmp_path: Path, readable: bool) -> None:
    left = remains(tmp_path)
    with contextlib.closing(apsw.Connection(str(left.database))) as raw:
        raw.pragma("application_id", 0)
    if not readable:
        left.database.write_bytes(b"\xff" * 10_000)
    report = left.recover()
    assert report
    assert (report.quarantined, report.not_recovered) == (0, 0)
    found = {task.id: (task.lane, task.state) for task in Store(left.database).page(100)}
    batch = {3: ("batch", State.QUEUED), 5: ("batch", State.QUEUED)}
    assert found == ({2: ("live", State.DONE), **batch} if readable else batch)
    assert Store(left.database).add(new_task())[0].id > 6, "their ids are not given again"
    assert left.recover() is None
    assert backup.newest_sound(left.data_dir / "backups")


def test_a_lane_that_others_contradict_is_not_trusted(tmp_path: Path) -> None:
    """A task of the batch whose row says that it is live must not be left out."""
    left = remains(tmp_path)
    with contextlib.closing(apsw.Connection(str(left.database))) as raw:
        raw.execute("UPDATE task SET lane = 'live' WHERE id = 3")
        raw.pragma("application_id", 0)
    left.recover()
    assert Store(left.database).get(3).lane == "batch"
