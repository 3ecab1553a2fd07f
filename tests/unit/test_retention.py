"""Housekeeping with a real store and real images."""

import io
from pathlib import Path

import pytest

from pivision import heartbeat
from pivision.errors import ImageLost, TaskNotFound
from pivision.images import Images
from pivision.retention import Retention
from pivision.store import Store
from pivision.task import State
from tests.unit.conftest import new_task

LIMIT = 1_000_000
ONE_MICROSECOND_IN_DAYS = 1e-6 / 86400
ROUND = 256  # steps that look through every folder of images


@pytest.fixture
def patient(store: Store, images: Images) -> Retention:
    """Nothing is ever too old, and the disk is large enough."""
    return Retention(store, images, max_age_days=36_500, wanted_free_bytes=0)


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
    Retention(store, images, max_age_days=ONE_MICROSECOND_IN_DAYS, wanted_free_bytes=0).step()
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
    one_day = Retention(store, images, max_age_days=1, wanted_free_bytes=0)
    store.tick("an earlier boot", 10)
    add(store, images, b"picture")
    store.tick("an earlier boot", 10 + 86_000 - int(heartbeat.boottime()))
    one_day.step()  # this boot adds its own uptime: 86,000 seconds, and a day has 86,400
    assert store.counts()[State.DONE] == 1
    store.tick("another boot", 400)
    one_day.step()
    assert store.counts()[State.DONE] == 0


def test_a_full_disk_takes_the_oldest_and_nothing_that_waits(store: Store, images: Images) -> None:
    done = [add(store, images, b"%d" % number) for number in range(120)]  # more than one step's share
    queued = add(store, images, b"queued", State.QUEUED)
    wanted_free_bytes = images.free_bytes() + (1 << 40)  # more than can ever be free
    Retention(store, images, max_age_days=1, wanted_free_bytes=wanted_free_bytes).make_room()
    assert store.counts() == {**dict.fromkeys(State, 0), State.QUEUED: 1, State.DONE: 10}
    assert images.read(queued) == b"queued"
    assert [images.path(sha256).exists() for sha256 in done] == [False] * 110 + [True] * 10  # the last may yet be read


def test_a_disk_with_room_loses_nothing(store: Store, images: Images) -> None:
    done = add(store, images, b"done")
    Retention(store, images, max_age_days=1, wanted_free_bytes=1).make_room()
    assert images.read(done) == b"done"


def test_an_image_that_another_task_has_stays(store: Store, images: Images) -> None:
    shared = add(store, images, b"shared")
    add(store, images, b"shared", State.QUEUED)
    Retention(store, images, max_age_days=ONE_MICROSECOND_IN_DAYS, wanted_free_bytes=0).step()
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
    Retention(store, images, max_age_days=1e12, wanted_free_bytes=0).step()
    assert store.counts()[State.DONE] == 1
