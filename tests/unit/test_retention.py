"""Housekeeping with a real store and real images."""

import contextlib
import io
from pathlib import Path

import apsw
import pytest

from pivision import heartbeat
from pivision.errors import ImageLost, TaskNotFound
from pivision.images import Images
from pivision.retention import Retention
from pivision.store import Store
from pivision.task import State
from tests.unit.conftest import NO_QUOTA, new_task

LIMIT = 1_000_000
ONE_MICROSECOND_IN_DAYS = 1e-6 / 86400
ROUND = 256  # steps that look through every folder of images


@pytest.fixture
def patient(store: Store, images: Images) -> Retention:
    """Nothing is ever too old or too much."""
    return Retention(store, images, max_age_days=36_500, max_bytes=NO_QUOTA)


def add(store: Store, images: Images, content: bytes, state: State = State.DONE) -> str:
    """A task with its image, brought to `state`."""
    with images.receive(io.BytesIO(content), LIMIT) as image, image.kept():
        store.add(new_task(image.sha256))
    if state is not State.QUEUED:
        task = store.claim(1)
        assert task is not None
        if state is State.DONE:
            assert store.finish(task, b"{}")
    return image.sha256


def test_what_is_too_old_goes_with_its_image(store: Store, images: Images) -> None:
    old = add(store, images, b"old")
    Retention(store, images, max_age_days=ONE_MICROSECOND_IN_DAYS, max_bytes=NO_QUOTA).step()
    with pytest.raises(TaskNotFound):
        store.get(1)
    with pytest.raises(ImageLost):
        images.read(old)


def test_what_is_young_stays_however_often_one_looks(store: Store, images: Images, patient: Retention) -> None:
    young = add(store, images, b"young")
    for _ in range(ROUND + 1):
        patient.step()
    assert store.get(1).state is State.DONE
    assert images.read(young) == b"young"


def test_age_is_the_time_that_the_appliance_ran(store: Store, images: Images) -> None:
    one_day = Retention(store, images, max_age_days=1, max_bytes=NO_QUOTA)
    store.tick("an earlier boot", 10)
    add(store, images, b"picture")
    store.tick("an earlier boot", 10 + 86_000 - int(heartbeat.boottime()))
    one_day.step()  # this boot adds its own uptime: 86,000 seconds, and a day has 86,400
    assert store.counts()[State.DONE] == 1
    store.tick("another boot", 400)
    one_day.step()
    assert store.counts()[State.DONE] == 0


def counted(retention: Retention) -> Retention:
    """As after a while: folders are read again a second later at the earliest."""
    retention._count_due = 0
    retention.keep_quota()
    return retention


def test_beyond_the_quota_the_oldest_go_and_nothing_that_waits(store: Store, images: Images) -> None:
    done = [add(store, images, b"%d" % number) for number in range(120)]  # more than one step's share
    queued = add(store, images, b"queued", State.QUEUED)
    retention = Retention(store, images, max_age_days=1, max_bytes=1)
    for _ in range(20):  # each look ends after half a second
        counted(retention)
    assert store.counts() == {**dict.fromkeys(State, 0), State.QUEUED: 1, State.DONE: 10}
    assert images.read(queued) == b"queued"
    assert [images.path(sha256).exists() for sha256 in done] == [False] * 110 + [True] * 10  # the last may yet be read


def test_no_more_goes_than_is_beyond_the_quota(store: Store, images: Images) -> None:
    done = [add(store, images, number.to_bytes(1000, "big")) for number in range(40)]
    retention = Retention(store, images, max_age_days=1, max_bytes=30_500)
    counted(retention)
    assert [images.path(sha256).exists() for sha256 in done] == [False] * 10 + [True] * 30
    for _ in range(3):  # and no more when it is counted again
        counted(retention)
    assert store.counts()[State.DONE] == 30


def test_previews_and_drawings_count(store: Store, images: Images) -> None:
    done = [add(store, images, number.to_bytes(1000, "big")) for number in range(20)]
    retention = counted(Retention(store, images, max_age_days=1, max_bytes=20_000))
    assert store.counts()[State.DONE] == 20
    images.keep_preview(done[-1], bytes(3000))
    with images.kept(bytes(1500)):  # as a drawing is kept
        counted(retention)
    left = [images.path(sha256).exists() for sha256 in done]
    assert left == sorted(left), "the oldest go"
    assert images_bytes(images) <= 20_000
    assert left.count(True) >= 15


def test_what_is_not_its_own_counts_for_nothing(store: Store, images: Images) -> None:
    """Seen: a stranger filled the disk, and 50 of 60 pictures were removed for it."""
    done = [add(store, images, number.to_bytes(1000, "big")) for number in range(20)]
    shard = images.path(done[0]).parent
    for name in ("of somebody", "f" * 63, "F" * 64, "f" * 64 + ".previews"):
        (shard / name).write_bytes(bytes(100_000))
    (shard.parent / "filler").write_bytes(bytes(100_000))
    full = Images(shard.parent, reserve_bytes=1 << 60)
    counted(Retention(store, full, 1, 20_000))
    retention = counted(Retention(store, full, 1, 0))
    for _ in range(ROUND):
        retention.step()
    assert store.counts()[State.DONE] == 20
    assert (shard / "of somebody").exists(), "what it did not make it does not remove"


def test_a_row_that_claims_much_costs_nothing(store: Store, images: Images) -> None:
    done = add(store, images, b"small")
    for _ in range(12):
        add(store, images, b"another")
    with contextlib.closing(apsw.Connection(str(store.file))) as connection:
        connection.execute("UPDATE task SET image_size_bytes = 1 << 30 WHERE id > 1")
    counted(Retention(store, images, max_age_days=1, max_bytes=1000))
    assert images.read(done) == b"small"


def test_a_folder_that_cannot_be_read_counts_as_it_was(store: Store, images: Images) -> None:
    done = [add(store, images, number.to_bytes(1000, "big")) for number in range(20)]
    retention = counted(Retention(store, images, max_age_days=1, max_bytes=20_000))
    images.path(done[0]).parent.rename(images.path(done[0]).parent.with_name("away"))
    images.path(done[0]).parent.with_name("away").with_name(done[0][:2]).write_text("no folder")
    counted(retention)
    assert store.counts()[State.DONE] == 20


def test_many_images_are_counted_in_many_looks(store: Store, images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pivision.retention._COUNT_SECONDS", 0.0)  # one folder in each look
    done = [add(store, images, number.to_bytes(1000, "big")) for number in range(40)]
    retention = Retention(store, images, max_age_days=1, max_bytes=30_000)
    for _ in range(ROUND - 1):
        counted(retention)
    assert store.counts()[State.DONE] == 40, "nothing goes before all is counted"
    counted(retention)
    assert [images.path(sha256).exists() for sha256 in done] == [False] * 10 + [True] * 30


def images_bytes(images: Images) -> int:
    return sum(images.shard_bytes(number) for number in range(256))


def test_an_image_that_another_task_has_stays(store: Store, images: Images) -> None:
    shared = add(store, images, b"shared")
    add(store, images, b"shared", State.QUEUED)
    Retention(store, images, max_age_days=ONE_MICROSECOND_IN_DAYS, max_bytes=NO_QUOTA).step()
    assert store.counts() == {**dict.fromkeys(State, 0), State.QUEUED: 1}
    assert images.read(shared) == b"shared"


def test_images_without_a_task_are_found_within_a_round(store: Store, images: Images, patient: Retention) -> None:
    with images.receive(io.BytesIO(b"orphan"), LIMIT) as orphan, orphan.kept():
        pass  # killed here, before the row was made
    kept = add(store, images, b"kept", State.QUEUED)
    for _ in range(ROUND):
        patient.step()
    assert not images.path(orphan.sha256).exists()
    assert images.read(kept) == b"kept"


def test_a_huge_age_means_for_ever(store: Store, images: Images, tmp_path: Path) -> None:
    add(store, images, b"kept")
    Retention(store, images, max_age_days=1e12, max_bytes=NO_QUOTA).step()
    assert store.counts()[State.DONE] == 1
