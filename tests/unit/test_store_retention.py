"""What the store removes: by running time over all boots, never by the wall clock, and never what still waits."""

import apsw
import pytest

from pivision.store import Store
from pivision.task import State
from tests.unit.conftest import EVERYTHING, new_task
from tests.unit.test_store import in_state

ALL = 1000
IMAGE_BYTES = new_task().image.size_bytes


def finished(store: Store, name: str) -> str:
    """A task that is done now, known by its image."""
    sha256 = name * 64
    store.add(new_task(sha256))
    task = store.claim(1)
    assert task is not None
    assert store.finish(task, b"{}")
    return sha256


def removed_at_age(store: Store, seconds: int) -> bool:
    """Whether anything is that old; if so it is gone now."""
    return bool(store.remove_expired(seconds, ALL))


def test_the_clock_counts_running_seconds_within_a_boot(store: Store) -> None:
    store.tick("boot-1", 100)
    finished(store, "a")
    store.tick("boot-1", 149.9)
    assert not removed_at_age(store, 50)
    store.tick("boot-1", 150)
    assert removed_at_age(store, 50)


def test_the_clock_goes_on_across_boots(store: Store) -> None:
    store.tick("boot-1", 100)
    finished(store, "a")
    store.tick("boot-1", 110)
    store.tick("boot-2", 30)  # up for 30 s already when it is first seen
    store.tick("boot-2", 35)
    assert not removed_at_age(store, 46)
    assert removed_at_age(store, 45)


def test_a_clock_that_goes_backwards_within_a_boot_adds_nothing(store: Store) -> None:
    store.tick("boot-1", 100)
    finished(store, "a")
    for boottime_seconds in (40, 100, 0, 110):
        store.tick("boot-1", boottime_seconds)
    assert not removed_at_age(store, 11)
    assert removed_at_age(store, 10)


def test_an_earlier_boot_that_comes_again_adds_no_more_than_its_uptime(store: Store) -> None:
    store.tick("boot-1", 100)
    finished(store, "a")
    store.tick("boot-2", 5)
    store.tick("boot-3", 5)
    assert not removed_at_age(store, 11)
    assert removed_at_age(store, 10)


@pytest.mark.parametrize("wall_clock", ["1970-01-01T00:00:00.000Z", "2999-12-31T23:59:59.999Z"])
def test_the_wall_clock_decides_nothing(store: Store, wall_clock: str) -> None:
    store.tick("boot-1", 100)
    finished(store, "a")
    with apsw.Connection(str(store._file)) as raw:  # what a Pi writes that wakes up in another year
        raw.execute("UPDATE task SET created_at = ?1, started_at = ?1, finished_at = ?1", (wall_clock,))
    raw.close()
    assert not removed_at_age(store, 1)
    store.tick("boot-1", 101)
    assert removed_at_age(store, 1)


@pytest.mark.parametrize(
    ("state", "is_removed"),
    [
        (State.QUEUED, False),
        (State.RUNNING, False),
        (State.QUARANTINED, False),
        (State.DONE, True),
        (State.FAILED, True),
        (State.CANCELLED, True),
    ],
)
def test_what_expires(store: Store, state: State, is_removed: bool) -> None:
    task = in_state(store, state)
    store.tick("boot-1", 1000)
    assert store.remove_expired(1, ALL) == ({task.image.sha256} if is_removed else set())
    assert store.counts()[state] == (0 if is_removed else 1)


@pytest.mark.parametrize("state", State)
def test_what_goes_beyond_the_quota(store: Store, state: State) -> None:
    in_state(store, state)
    is_removed = state not in (State.QUEUED, State.RUNNING)
    assert bool(store.remove_oldest(EVERYTHING, ALL, kept=0)) == is_removed
    assert store.counts()[state] == (0 if is_removed else 1)


@pytest.mark.parametrize("method", ["remove_expired", "remove_oldest"])
def test_what_was_finished_first_goes_first_and_no_more_than_asked_for(store: Store, method: str) -> None:
    shas = []
    for boottime_seconds, name in enumerate("abcde", start=1):
        store.tick("boot-1", boottime_seconds * 10)
        shas.append(finished(store, name))
    store.tick("boot-1", 1000)
    arguments = (1, 2) if method == "remove_expired" else (EVERYTHING, 2, 0)
    assert getattr(store, method)(*arguments) == set(shas[:2])
    assert getattr(store, method)(*arguments) == set(shas[2:4])
    assert store.counts()[State.DONE] == 1


def test_a_retried_task_no_longer_ages(store: Store) -> None:
    task = in_state(store, State.FAILED)
    store.retry(task.id)
    store.tick("boot-1", 1000)
    assert store.remove_expired(1, ALL) == set()


def test_an_image_is_referenced_as_long_as_one_task_has_it(store: Store) -> None:
    sha256 = finished(store, "a")
    store.add(new_task(sha256))
    assert store.is_image_referenced(sha256)
    assert not store.is_image_referenced("b" * 64)
    store.remove_oldest(EVERYTHING, 1, kept=0)
    assert store.is_image_referenced(sha256)
    store.cancel(2)
    store.remove_oldest(EVERYTHING, 1, kept=0)
    assert not store.is_image_referenced(sha256)


def test_the_quota_leaves_what_finished_last(store: Store) -> None:
    shas = []
    for boottime_seconds, name in enumerate("abcd", start=1):
        store.tick("boot-1", boottime_seconds * 10)
        shas.append(finished(store, name))
    assert store.remove_oldest(EVERYTHING, ALL, kept=2) == set(shas[:2])
    assert store.remove_oldest(EVERYTHING, ALL, kept=2) == set()
    assert store.counts()[State.DONE] == 2


def test_no_more_goes_than_the_excess(store: Store) -> None:
    shas = []
    for boottime_seconds, name in enumerate("abcdef", start=1):
        store.tick("boot-1", boottime_seconds * 10)
        shas.append(finished(store, name))
    assert store.remove_oldest(1, ALL, kept=0) == {shas[0]}
    assert store.remove_oldest(IMAGE_BYTES, ALL, kept=0) == {shas[1]}
    assert store.remove_oldest(IMAGE_BYTES + 1, ALL, kept=0) == {shas[2], shas[3]}
    assert store.remove_oldest(EVERYTHING, ALL, kept=0) == {shas[4], shas[5]}
