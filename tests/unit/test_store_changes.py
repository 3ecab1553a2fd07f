"""What has changed since: each change of a task's state has a number, whoever makes it, and none is given twice."""

import contextlib
import os
from pathlib import Path

import apsw
import pytest

from pivision.errors import TaskNotFound, TaskStateConflict
from pivision.store import Store
from pivision.task import FINISHED, State
from tests.unit.conftest import EVERYTHING, new_task
from tests.unit.damage import killed_appliance
from tests.unit.test_store import ERROR, RESULT, STEPS, claimed, in_state


def told(store: Store, number: int, limit: int = 100) -> list[tuple[int, State | None]]:
    """The ids and states of what has changed since; None for what was removed."""
    return [(task_id, task.state if task else None) for _, task_id, task in store.changes_since(number, limit)]


def test_nothing_has_changed_in_an_empty_database(store: Store) -> None:
    assert store.change_numbers() == (0, 0)
    assert store.changes_since(0, 100) == []


def test_a_task_is_told_once_and_as_it_is_now(store: Store) -> None:
    first, _ = store.add(new_task())
    second, _ = store.add(new_task())
    assert told(store, 0) == [(first.id, State.QUEUED), (second.id, State.QUEUED)]
    _, seen = store.change_numbers()
    assert told(store, seen) == []
    assert store.finish(claimed(store), RESULT)
    assert told(store, seen) == [(first.id, State.DONE)]
    assert told(store, 0) == [(second.id, State.QUEUED), (first.id, State.DONE)]
    (change,) = store.changes_since(seen, 100)
    assert change == (4, first.id, store.get(first.id))
    assert store.change_numbers() == (0, 4)


def test_changes_are_told_a_part_at_a_time(store: Store) -> None:
    ids = [store.add(new_task())[0].id for _ in range(5)]
    seen, found = 0, []
    while changes := store.changes_since(seen, 2):
        assert len(changes) <= 2
        found += [change.task_id for change in changes]
        seen = changes[-1].number
    assert found == ids


@pytest.mark.parametrize("name", STEPS)
def test_each_step_is_a_change(store: Store, name: str) -> None:
    sources, to, step = STEPS[name]
    for source in sources:
        task = in_state(store, source)
        _, seen = store.change_numbers()
        assert step(store, task)
        assert told(store, seen) == [(task.id, to)]
        if to is State.QUEUED:
            store.cancel(task.id)  # out of the way of the next one


def test_a_step_that_was_not_made_is_no_change(store: Store) -> None:
    task = in_state(store, State.DONE)
    seen = store.change_numbers()
    assert not store.fail(task, ERROR)
    with pytest.raises(TaskStateConflict):
        store.cancel(task.id)
    with contextlib.suppress(ZeroDivisionError), store.together():
        store.add(new_task())
        raise ZeroDivisionError
    assert store.change_numbers() == seen


def test_what_was_removed_is_told_whoever_has_removed_it(store: Store) -> None:
    removed, expired, kept = (in_state(store, State.DONE) for _ in range(3))
    _, seen = store.change_numbers()
    assert store.remove(removed.id) == {removed.image.sha256}
    assert told(store, seen) == [(removed.id, None)]
    assert store.remove_oldest(EVERYTHING, 1, 1)
    assert told(store, seen) == [(removed.id, None), (expired.id, None)]
    assert told(store, 0) == [(kept.id, State.DONE), (removed.id, None), (expired.id, None)]


def test_only_the_latest_changes_are_kept_and_their_numbers_go_on(store: Store) -> None:
    task, _ = store.add(new_task())
    with store.together():
        for _ in range(2500):
            store.cancel(task.id)
            store.retry(task.id)
    oldest, newest = store.change_numbers()
    assert newest == 5001
    assert 4096 <= newest - oldest < 4096 + 256
    assert told(store, oldest) == [(task.id, State.QUEUED)]


@pytest.mark.parametrize("state", State)
def test_only_finished_tasks_are_removed(store: Store, state: State) -> None:
    task = in_state(store, state)
    if state in FINISHED:
        store.remove(task.id)
        with pytest.raises(TaskNotFound):
            store.get(task.id)
    else:
        with pytest.raises(TaskStateConflict, match=state):
            store.remove(task.id)
        assert store.get(task.id).state is state
    with pytest.raises(TaskNotFound):
        store.remove(99)


def test_pages_of_an_operation_a_source_and_a_state(store: Store) -> None:
    both = type(new_task().operations)(b'[{"name":"quality","params":{}},{"name":"codes","params":{"formats":[]}}]')
    plain = store.add(new_task())[0].id
    door = store.add(new_task(source="door"))[0].id
    yard = store.add(new_task(source="yard", operations=both))[0].id
    late = store.add(new_task(source="door", operations=both))[0].id
    store.cancel(door)

    def page(**asked: object) -> list[int]:
        return [task.id for task in store.page(10, **asked)]  # type: ignore[arg-type]

    assert page(operation="codes") == [late, yard, door, plain]
    assert page(operation="quality") == [late, yard]
    assert page(operation="faces") == []
    assert page(source="door") == [late, door]
    assert page(source="door", before=late) == [door]
    assert page(source="door", state=State.CANCELLED) == [door]
    assert page(source="door", operation="quality") == [late]
    assert page(operation="quality", state=State.QUEUED) == [late, yard]
    assert page(operation="quality", state=State.CANCELLED) == []
    assert page(source="") == []


def test_after_a_recovery_nothing_that_was_told_before_counts(tmp_path: Path) -> None:
    """The new database numbers its changes anew; a number from before must never be taken for one of these."""
    with killed_appliance() as killed:
        left = killed.copied(tmp_path)
        with contextlib.closing(apsw.Connection(str(killed.database))) as raw:
            ((before,),) = raw.execute("SELECT max(number) FROM task_change")
        os.truncate(left.database, 0)
        assert left.recover()
        store = Store(left.database)
        oldest, newest = store.change_numbers()
        assert newest >= oldest > before > 0
        task, _ = store.add(new_task())
        assert told(store, newest) == [(task.id, State.QUEUED)]
