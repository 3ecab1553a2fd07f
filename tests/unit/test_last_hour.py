"""The last hour in minutes, by clocks that the test sets."""

import pytest

from pivision.api.last_hour import MINUTES, LastHour
from pivision.store import Store
from tests.unit.conftest import new_task


class Clock:
    """A clock that only goes when it is told to."""

    seconds = 100 * 60.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hour(store: Store, clock: Clock) -> LastHour:
    return LastHour(store, clock)


def finish_one(store: Store) -> None:
    task = store.claim(1)
    assert task is not None
    assert store.finish(task, b'{"codes":{"codes":[]}}')


def test_an_hour_in_which_nothing_was(hour: LastHour) -> None:
    report = hour.look()
    assert (report.queue, report.finished) == ([0] * MINUTES, [0] * MINUTES)


def test_each_minute_tells_how_long_the_queue_was_at_most(store: Store, clock: Clock, hour: LastHour) -> None:
    for number in range(3):
        store.add(new_task(f"{number}" * 64))
    hour.sample()
    clock.seconds += 59
    finish_one(store)
    store.claim(1)  # what is at work counts, too
    assert hour.look().queue[-1] == 3
    clock.seconds += 1
    assert hour.look().queue[-2:] == [3, 2]
    clock.seconds += 58 * 60
    hour.sample()
    assert hour.look().queue == [3, 2, *[0] * 57, 2]
    clock.seconds += 60
    assert hour.look().queue[0] == 2


def test_what_was_finished_goes_by_the_appliance_s_clock(store: Store, hour: LastHour) -> None:
    for number in range(4):
        store.add(new_task(f"{number}" * 64))
    store.tick("boot", 0)
    finish_one(store)
    store.tick("boot", 60)
    finish_one(store)
    finish_one(store)
    assert hour.look().finished[-3:] == [0, 1, 2]
    store.tick("boot", 59 * 60)
    finish_one(store)
    assert hour.look().finished == [1, 2, *[0] * 57, 1]
    store.tick("boot", 60 * 60)
    assert hour.look().finished == [2, *[0] * 57, 1, 0]
