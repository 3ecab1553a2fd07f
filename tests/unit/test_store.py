"""The store's steps, one by one and against the legal transitions, on a real database file."""

import threading
from collections.abc import Callable
from pathlib import Path

import apsw
import msgspec
import pytest

from pivision.errors import IdempotencyKeyReused, TaskNotFound, TaskStateConflict
from pivision.store import Store
from pivision.task import FINISHED, TRANSITIONS, State, Task, TaskError
from tests.unit.conftest import EVERYTHING, new_task

WORKER = 7
RESULT = b'{"codes":{"codes":[],"milliseconds":1.5}}'
ERROR = TaskError("operation-failed", "it would not")
DEATH = TaskError("worker-died", "its worker died")

Step = Callable[[Store, Task], object]

# Every method that changes a task: the states it starts from, the one it leads to, and the call.
STEPS: dict[str, tuple[set[State], State, Step]] = {
    "claim": ({State.QUEUED}, State.RUNNING, lambda store, task: store.claim(WORKER)),
    "finish": ({State.RUNNING}, State.DONE, lambda store, task: store.finish(task, RESULT)),
    "fail": ({State.RUNNING}, State.FAILED, lambda store, task: store.fail(task, ERROR, b"{}")),
    "hand_back": ({State.RUNNING}, State.QUEUED, lambda store, task: store.hand_back(task)),
    "defer": ({State.RUNNING}, State.QUEUED, lambda store, task: store.defer(task)),
    "requeue": ({State.RUNNING}, State.QUEUED, lambda store, task: store.requeue(task)),
    "requeue_overrun": ({State.RUNNING}, State.QUEUED, lambda store, task: store.requeue_overrun(task)),
    "quarantine": ({State.RUNNING}, State.QUARANTINED, lambda store, task: store.quarantine(task, DEATH)),
    "cancel": ({State.QUEUED}, State.CANCELLED, lambda store, task: store.cancel(task.id)),
    "retry": (
        {State.FAILED, State.QUARANTINED, State.CANCELLED},
        State.QUEUED,
        lambda store, task: store.retry(task.id),
    ),
}
FENCED = ["finish", "fail", "hand_back", "defer", "requeue", "requeue_overrun", "quarantine"]


def claimed(store: Store, worker: int = WORKER) -> Task:
    """The task that `worker` gets now."""
    task = store.claim(worker)
    assert task is not None
    return task


def in_state(store: Store, state: State) -> Task:
    """A new task, brought to `state` by legal steps."""
    task, _ = store.add(new_task())
    if state is State.CANCELLED:
        return store.cancel(task.id)
    if state is State.QUEUED:
        return task
    task = claimed(store)
    match state:
        case State.DONE:
            assert store.finish(task, RESULT)
        case State.FAILED:
            assert store.fail(task, ERROR, b"{}")
        case State.QUARANTINED:
            assert store.quarantine(task, DEATH)
    return store.get(task.id)


def test_the_methods_make_every_legal_step_and_no_other() -> None:
    made = {(source, to) for sources, to, _ in STEPS.values() for source in sources}
    assert made == {(source, to) for source, targets in TRANSITIONS.items() for to in targets}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("method", STEPS)
def test_a_step_is_made_exactly_when_it_is_legal(store: Store, state: State, method: str) -> None:
    sources, to, step = STEPS[method]
    before = in_state(store, state)
    held = msgspec.structs.replace(before, worker=WORKER, attempt=max(1, before.attempt))  # as its worker knows it
    if state in sources:
        assert step(store, held)
        after = store.get(before.id)
        assert after.state is to
        assert (after.finished_at is not None) == (to in FINISHED)
        assert after.worker == (WORKER if to is State.RUNNING else None)
        assert (after.error is not None) == (to in (State.FAILED, State.QUARANTINED))
        if to in (State.QUEUED, State.RUNNING):
            assert after.result is None
            assert (after.started_at is not None) == (to is State.RUNNING)
    else:
        if method in ("cancel", "retry"):
            with pytest.raises(TaskStateConflict, match=f"is {state}"):
                step(store, held)
        else:
            assert not step(store, held)
        assert store.get(before.id) == before


@pytest.mark.parametrize("method", FENCED)
@pytest.mark.parametrize(
    "stale", [{"attempt": 1}, {"attempt": 3}, {"worker": 8}, {"worker": None}, {"attempt": 1, "worker": 8}]
)
def test_the_fence_keeps_out_whoever_no_longer_has_the_task(
    store: Store, method: str, stale: dict[str, int | None]
) -> None:
    store.add(new_task())
    store.requeue(claimed(store))
    before = claimed(store)
    assert before.attempt == 2
    assert STEPS[method][2](store, msgspec.structs.replace(before, **stale)) is False
    assert store.get(before.id) == before


def test_a_late_result_does_not_overwrite_that_of_the_successor(store: Store) -> None:
    store.add(new_task())
    late = claimed(store, 1)
    assert store.requeue(late)
    successor = claimed(store, 2)
    assert not store.finish(late, b'{"from":"late"}')
    assert store.finish(successor, b'{"from":"successor"}')
    assert not store.finish(late, b'{"from":"late"}')
    done = store.get(late.id)
    assert done.result is not None
    assert bytes(done.result) == b'{"from":"successor"}'


def test_each_claim_counts_and_handing_back_does_not(store: Store) -> None:
    store.add(new_task())
    assert store.get(1).attempt == 0
    assert claimed(store).attempt == 1
    assert store.requeue(store.get(1))
    assert store.get(1).attempt == 1
    second = claimed(store)
    assert second.attempt == 2
    assert store.hand_back(second)
    assert store.get(1).attempt == 1
    assert claimed(store).attempt == 2


def test_claim_takes_the_oldest_first_and_none_from_an_empty_queue(store: Store) -> None:
    assert store.claim(1) is None
    ids = [store.add(new_task())[0].id for _ in range(5)]
    assert [claimed(store, worker).id for worker in range(5)] == ids
    assert store.claim(1) is None
    assert [task.id for task in store.running()] == ids


@pytest.mark.parametrize("state", [State.FAILED, State.QUARANTINED, State.CANCELLED])
def test_retry_starts_anew(store: Store, state: State) -> None:
    task = store.retry(in_state(store, state).id)
    assert (task.state, task.attempt, task.result, task.error) == (State.QUEUED, 0, None, None)
    assert (task.worker, task.started_at, task.finished_at) == (None, None, None)
    assert claimed(store).attempt == 1


def test_results_and_errors_are_kept_as_they_were(store: Store) -> None:
    done, failed = in_state(store, State.DONE), in_state(store, State.FAILED)
    assert done.result is not None
    assert bytes(done.result) == RESULT
    assert failed.error == ERROR
    assert failed.result is not None
    assert in_state(store, State.QUARANTINED).error == DEATH


@pytest.mark.parametrize("task_id", [1, 99, (1 << 63) - 1, 1 << 63, 10**30])
@pytest.mark.parametrize("method", ["get", "cancel", "retry"])
def test_what_is_not_there_is_not_found(store: Store, method: str, task_id: int) -> None:
    with pytest.raises(TaskNotFound):
        getattr(store, method)(task_id)


@pytest.mark.parametrize("state", State)
def test_the_same_key_and_request_give_the_same_task(store: Store, state: State) -> None:
    task = in_state(store, state)
    keyed, is_new = store.add(new_task(idempotency_key="k", source="door"))
    assert is_new
    again, is_new = store.add(new_task(idempotency_key="k", source="door"))
    assert not is_new
    assert again == keyed
    assert again.id != task.id  # which has no key


@pytest.mark.parametrize(
    "other",
    [
        new_task("b" * 64, idempotency_key="k"),
        new_task(operations=msgspec.Raw(b'[{"name":"quality"}]'), idempotency_key="k"),
        new_task(source="elsewhere", idempotency_key="k"),
    ],
)
def test_the_same_key_for_another_request_is_refused(store: Store, other: object) -> None:
    store.add(new_task(idempotency_key="k"))
    with pytest.raises(IdempotencyKeyReused, match="task 1"):
        store.add(other)  # type: ignore[arg-type]
    assert store.counts()[State.QUEUED] == 1


def test_one_key_from_many_threads_at_once_makes_one_task(store: Store) -> None:
    start = threading.Barrier(8)
    added: list[tuple[Task, bool]] = []

    def add() -> None:
        start.wait()
        added.append(store.add(new_task(idempotency_key="k")))

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(added) == 8
    assert {task.id for task, _ in added} == {1}
    assert sum(is_new for _, is_new in added) == 1


def test_ids_are_never_given_twice(store: Store) -> None:
    task = in_state(store, State.DONE)
    store.remove_oldest(EVERYTHING, 1, kept=0)
    assert store.add(new_task())[0].id > task.id


def test_pages_stay_right_while_tasks_are_added(store: Store) -> None:
    for _ in range(10):
        store.add(new_task())
    seen: list[int] = []
    while page := store.page(3, before=seen[-1] if seen else None):
        seen += [task.id for task in page]
        store.add(new_task())
    assert seen == list(range(10, 0, -1))


def test_pages_of_one_state(store: Store) -> None:
    states = [State.DONE, State.QUEUED, State.DONE, State.CANCELLED, State.DONE]
    ids = {task.id: task.state for task in [in_state(store, state) for state in states if state is not State.QUEUED]}
    done = sorted((task_id for task_id, state in ids.items() if state is State.DONE), reverse=True)
    assert [task.id for task in store.page(2, state=State.DONE)] == done[:2]
    assert [task.id for task in store.page(2, before=done[1], state=State.DONE)] == done[2:]
    assert store.page(5, state=State.QUARANTINED) == []


def test_counts_name_every_state(store: Store) -> None:
    assert store.counts() == dict.fromkeys(State, 0)
    for state in (State.DONE, State.DONE, State.FAILED, State.CANCELLED, State.QUARANTINED, State.RUNNING):
        in_state(store, state)
    store.add(new_task())
    assert store.counts() == {**dict.fromkeys(State, 1), State.DONE: 2}


def test_a_stored_result_is_json(store: Store, tmp_path: Path) -> None:
    store.add(new_task())
    with pytest.raises(apsw.ConstraintError):
        store.finish(claimed(store), b"no json")
    assert store.get(1).state is State.RUNNING
