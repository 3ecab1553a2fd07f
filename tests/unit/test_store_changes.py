"""What has changed since: each change of a task's state has a number, whoever makes it, and none is given twice."""

import contextlib
import os
from pathlib import Path

import apsw
import pytest

from pivision.errors import TaskNotFound, TaskStateConflict
from pivision.store import Store
from pivision.task import FINISHED, State
from tests.unit.conftest import new_task
from tests.unit.damage import killed_appliance
from tests.unit.test_store import ERROR, RESULT, STEPS, claimed, in_state


def told(store: Store, revision: int, limit: int = 100) -> list[tuple[int, State]]:
    """The ids and states of what has changed since."""
    return [(task.id, task.state) for _, task in store.changes_since(revision, limit)]


def test_nothing_has_changed_in_an_empty_database(store: Store) -> None:
    assert store.revisions() == (0, 0)
    assert store.changes_since(0, 100) == []


def test_a_task_is_told_once_and_as_it_is_now(store: Store) -> None:
    first, _ = store.add(new_task())
    second, _ = store.add(new_task())
    assert told(store, 0) == [(first.id, State.QUEUED), (second.id, State.QUEUED)]
    _, seen = store.revisions()
    assert told(store, seen) == []
    assert store.finish(claimed(store), RESULT)
    assert told(store, seen) == [(first.id, State.DONE)]
    assert told(store, 0) == [(second.id, State.QUEUED), (first.id, State.DONE)]
    ((revision, task),) = store.changes_since(seen, 100)
    assert task == store.get(first.id)
    assert revision == store.revisions()[1] == 4


def test_changes_are_told_a_part_at_a_time(store: Store) -> None:
    ids = [store.add(new_task())[0].id for _ in range(5)]
    seen, found = 0, []
    while changes := store.changes_since(seen, 2):
        assert len(changes) <= 2
        found += [task.id for _, task in changes]
        seen = changes[-1][0]
    assert found == ids


@pytest.mark.parametrize("name", STEPS)
def test_each_step_is_a_change(store: Store, name: str) -> None:
    sources, to, step = STEPS[name]
    for source in sources:
        task = in_state(store, source)
        _, seen = store.revisions()
        assert step(store, task)
        assert told(store, seen) == [(task.id, to)]
        if to is State.QUEUED:
            store.cancel(task.id)  # out of the way of the next one


def test_a_step_that_was_not_made_is_no_change(store: Store) -> None:
    task = in_state(store, State.DONE)
    seen = store.revisions()
    assert not store.fail(task, ERROR)
    with pytest.raises(TaskStateConflict):
        store.cancel(task.id)
    with contextlib.suppress(ZeroDivisionError), store.together():
        store.add(new_task())
        raise ZeroDivisionError
    assert store.revisions() == seen


def test_a_number_is_not_given_again_when_its_task_is_removed(store: Store) -> None:
    task = in_state(store, State.DONE)
    _, seen = store.revisions()
    assert store.remove(task.id) == {task.image.sha256}
    assert store.changes_since(0, 100) == []
    other, _ = store.add(new_task())
    assert store.changes_since(seen, 100) == [(seen + 1, other)]


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
            ((before,),) = raw.execute("SELECT newest FROM task_revision")
        os.truncate(left.database, 0)
        assert left.recover()
        store = Store(left.database)
        oldest, newest = store.revisions()
        assert newest >= oldest > before > 0
        task, _ = store.add(new_task())
        assert [task.id for _, task in store.changes_since(newest, 10)] == [task.id]
