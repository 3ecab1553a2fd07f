"""Requests that wait: how many, woken by what, and for how long."""

import threading
import time
from collections.abc import Callable

import msgspec
import pytest

from pivision.api.waiting import Waiting
from pivision.errors import TooManyWaiting
from pivision.store import Store
from pivision.task import State, Task
from tests.unit.conftest import new_task

PATIENCE_SECONDS = 60


class Waiter(threading.Thread):
    """One request that waits; `looks` counts how often it has read its task."""

    def __init__(self, waiting: Waiting, store: Store, task_id: int, seconds: float = PATIENCE_SECONDS) -> None:
        super().__init__()
        self.answer: Task | None = None
        self.first_look = threading.Event()
        self.looks = 0
        self._wait: Callable[[], Task] = lambda: waiting.until_finished(task_id, seconds, self._read)
        self._store = store
        self.start()

    def _read(self, task_id: int) -> Task:
        task = self._store.get(task_id)
        self.looks += 1
        self.first_look.set()
        return task

    def run(self) -> None:
        self.answer = self._wait()


def finish(store: Store) -> Task:
    task = store.claim(1)
    assert task is not None
    assert store.finish(task, b"{}")
    return task


def test_a_finished_task_is_answered_at_once(store: Store) -> None:
    store.add(new_task())
    finish(store)
    assert Waiting(1).until_finished(1, PATIENCE_SECONDS, store.get).state is State.DONE


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED, State.QUARANTINED])
def test_every_end_is_one(store: Store, state: State) -> None:
    task, _ = store.add(new_task())
    ended = msgspec.structs.replace(task, state=state)
    assert Waiting(1).until_finished(1, PATIENCE_SECONDS, lambda _: ended) is ended


def test_the_ring_ends_the_waiting(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pivision.api.waiting._LOOK_SECONDS", PATIENCE_SECONDS)  # nothing else may end it
    waiting = Waiting(2)
    store.add(new_task())
    waiters = [Waiter(waiting, store, 1) for _ in range(2)]
    for waiter in waiters:
        assert waiter.first_look.wait(PATIENCE_SECONDS)
    finish(store)
    waiting.wake(1)
    for waiter in waiters:
        waiter.join(PATIENCE_SECONDS / 2)
        assert waiter.answer is not None
        assert waiter.answer.state is State.DONE


def test_a_lost_ring_costs_one_look(store: Store) -> None:
    store.add(new_task())
    waiter = Waiter(Waiting(1), store, 1)
    assert waiter.first_look.wait(PATIENCE_SECONDS)
    finish(store)  # and nobody rings
    waiter.join(PATIENCE_SECONDS)
    assert waiter.answer is not None
    assert waiter.answer.state is State.DONE


def test_a_ring_for_another_task_wakes_nobody(store: Store) -> None:
    waiting = Waiting(1)
    store.add(new_task())
    waiter = Waiter(waiting, store, 1, seconds=0.3)
    assert waiter.first_look.wait(PATIENCE_SECONDS)
    for _ in range(100):
        waiting.wake(2)
    waiter.join(PATIENCE_SECONDS)
    assert waiter.looks == 2  # when it came, and when its time was up


@pytest.mark.parametrize("seconds", [0, 0.05, -1])
def test_when_the_time_is_up_the_task_comes_as_it_is(store: Store, seconds: float) -> None:
    store.add(new_task())
    started = time.monotonic()
    assert Waiting(1).until_finished(1, seconds, store.get).state is State.QUEUED
    assert time.monotonic() - started >= seconds


def test_closing_answers_everybody_with_what_there_is(store: Store) -> None:
    waiting = Waiting(3)
    for _ in range(3):
        store.add(new_task())
    waiters = [Waiter(waiting, store, task_id) for task_id in (1, 2, 3)]
    for waiter in waiters:
        assert waiter.first_look.wait(PATIENCE_SECONDS)
    waiting.close()
    for waiter in waiters:
        waiter.join(PATIENCE_SECONDS)
        assert waiter.answer is not None
        assert waiter.answer.state is State.QUEUED
    assert waiting.until_finished(1, PATIENCE_SECONDS, store.get).state is State.QUEUED


def test_there_are_so_many_seats_and_no_more() -> None:
    waiting = Waiting(2)
    with waiting.seat(), waiting.seat():
        with pytest.raises(TooManyWaiting):
            with waiting.seat():
                pytest.fail("a third one has sat down")
    with waiting.seat(), waiting.seat():
        pass


def test_a_seat_is_free_again_whatever_happened_on_it() -> None:
    waiting = Waiting(1)
    for _ in range(3):
        with pytest.raises(KeyError), waiting.seat():
            raise KeyError
    with waiting.seat():
        pass


def test_who_waited_is_forgotten(store: Store) -> None:
    waiting = Waiting(1)
    store.add(new_task())
    waiting.until_finished(1, 0.01, store.get)
    assert not waiting._waiters
    waiting.wake(1)
    assert not waiting._waiters
