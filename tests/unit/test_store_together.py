"""Several writes in one commit: all of them happen, or none."""

import contextlib
from pathlib import Path

import apsw
import pytest

from pivision.errors import DatabaseBusy
from pivision.store import Store
from pivision.task import State
from tests.unit.conftest import new_task


@pytest.fixture
def other(store: Store) -> Store:
    """The same database, as another process would see it."""
    return Store(Path(store._file))


def test_all_happen_at_once(store: Store, other: Store) -> None:
    for sha256 in ("a" * 64, "b" * 64):
        store.add(new_task(sha256))
    first = store.claim(1)
    assert first is not None

    with store.together():
        assert store.finish(first, b"{}")
        second = store.claim(1)
        assert other.get(first.id).state is State.RUNNING, "seen by others before the commit"

    assert second is not None
    assert (other.get(first.id).state, other.get(second.id).state) == (State.DONE, State.RUNNING)


def test_none_happens_when_the_block_fails(store: Store, other: Store) -> None:
    store.add(new_task("a" * 64))
    task = store.claim(1)
    assert task is not None

    with pytest.raises(ZeroDivisionError), store.together():  # noqa: PT012  # the block is what is tried
        assert store.finish(task, b"{}")
        raise ZeroDivisionError

    assert other.get(task.id) == task
    assert store.finish(task, b"{}"), "the store works on"


def test_the_block_waits_for_another_writer_and_gives_up_in_time(store: Store) -> None:
    store.add(new_task("a" * 64))
    hasty = Store(Path(store._file), timeout_seconds=0.05)
    with contextlib.closing(apsw.Connection(str(store._file))) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusy), hasty.together():
            pytest.fail("the block was entered without the write lock")
    with hasty.together():
        assert hasty.claim(1)
