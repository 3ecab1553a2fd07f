"""Tasks that were ended by their deadline, or met passing trouble: behind the others, and no more often than said."""

import contextlib
import re

import apsw
import pytest

from pivision.store import Store, queries
from pivision.task import Lane, State, Task, TaskError
from tests.unit.conftest import new_task

DEADLINE = TaskError("deadline-exceeded", "its worker was ended")
WAITING_BEHIND = 100


def added(store: Store, lane: Lane = "batch") -> int:
    return store.add(new_task(lane=lane))[0].id


def claimed(store: Store) -> Task:
    task = store.claim(1)
    assert task is not None
    return task


def order(store: Store) -> list[int]:
    """In which order the tasks that wait are taken, each done at once."""
    taken = []
    while (task := store.claim(2)) is not None:
        taken.append(task.id)
        assert store.finish(task, b"{}")
    return taken


def test_what_overran_goes_behind_all_that_wait_and_before_what_comes_later(store: Store) -> None:
    ids = [added(store) for _ in range(4)]
    assert store.requeue_overrun(claimed(store))
    later = added(store)
    assert order(store) == [*ids[1:], ids[0], later]


def test_those_that_overran_keep_their_order(store: Store) -> None:
    ids = [added(store) for _ in range(4)]
    first, second = claimed(store), claimed(store)
    assert store.requeue_overrun(second)
    later = added(store)
    assert store.requeue_overrun(first)
    last = added(store)
    assert order(store) == [*ids[2:], ids[1], later, ids[0], last]


def test_a_live_task_that_overran_holds_up_neither_lane(store: Store) -> None:
    slow, batch = added(store, "live"), added(store)
    assert store.requeue_overrun(claimed(store))
    live = added(store, "live")
    assert order(store) == [live, batch, slow]


def test_an_overrun_gives_one_more_try_and_no_second(store: Store) -> None:
    task_id = added(store)
    assert store.requeue_overrun(claimed(store))
    again = claimed(store)
    assert (again.id, again.attempt) == (task_id, 2)
    assert not store.requeue_overrun(again)
    assert store.quarantine(again, DEADLINE)
    store.retry(task_id)  # a person asks: all anew
    assert store.requeue_overrun(claimed(store))


def test_a_death_of_another_cause_does_not_bring_it_forward(store: Store) -> None:
    slow, other = added(store), added(store)
    assert store.requeue_overrun(claimed(store))
    assert order(store)[0] == other
    assert store.get(slow).state is State.DONE
    slow, other = added(store), added(store)
    assert store.requeue_overrun(claimed(store))
    taken = claimed(store)
    assert taken.id == other
    assert store.requeue(taken)
    assert order(store) == [other, slow]


def test_a_retried_task_has_its_place_again(store: Store) -> None:
    slow = added(store)
    assert store.requeue_overrun(claimed(store))
    store.cancel(slow)
    other = added(store)
    store.retry(slow)
    assert order(store) == [slow, other]


def test_passing_trouble_costs_no_attempt(store: Store) -> None:
    ids = [added(store) for _ in range(3)]
    for _ in range(10):
        assert store.defer(task := claimed(store))
        assert not store.defer(task), "it is nobody's"
    assert {store.get(task_id).attempt for task_id in ids} == {0}
    assert order(store) == [ids[1], ids[2], ids[0]]


def test_few_wait_behind_so_that_the_claim_stays_short(store: Store) -> None:
    for _ in range(WAITING_BEHIND + 1):
        added(store)
    for _ in range(WAITING_BEHIND):
        assert store.requeue_overrun(claimed(store))
    last = claimed(store)
    assert not store.requeue_overrun(last)
    assert not store.defer(last)
    assert store.hand_back(last)
    assert order(store)[0] == last.id


@pytest.mark.parametrize("name", ["claim", "defer", "requeue_overrun"])
def test_the_queue_is_walked_by_its_indexes(store: Store, name: str) -> None:
    statement = queries.load()[name]
    parameters = dict.fromkeys(re.findall(r":(\w+)", re.sub(r"--.*", "", statement)), 1)
    with contextlib.closing(apsw.Connection(str(store.file))) as raw:
        steps = [str(row[3]) for row in raw.execute("EXPLAIN QUERY PLAN " + statement, parameters)]
    assert not any(step.startswith("SCAN task") for step in steps), steps
    sorts = [step for step in steps if "TEMP B-TREE" in step]
    assert len(sorts) == (1 if name == "claim" else 0), "of the two first ones, and of no queue"
    if name == "claim":
        assert any("task_live" in step for step in steps)
        assert any("task_by_state" in step for step in steps)
        assert any("task_behind" in step for step in steps)
