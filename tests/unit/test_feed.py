"""What the event streams share: places, a bell, and one reading for all."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pivision.api.feed import Feed, Reading, event
from pivision.errors import TooManyStreams
from pivision.store import Store
from tests.unit.conftest import new_task


def reading(feed: Feed, store: Store, look: Callable[[], dict[str, Any]] = dict) -> Reading:
    return Reading(feed, store, look)


def test_places_are_bounded_and_given_back() -> None:
    feed = Feed(places=1)
    feed.enter()
    with pytest.raises(TooManyStreams):
        feed.enter()
    feed.leave()
    feed.enter()


def test_a_ring_that_came_before_the_waiting_counts() -> None:
    feed = Feed(places=1)
    seen = feed.rings
    feed.ring()
    feed.wait(seen, timeout_seconds=3600)


def test_a_ring_and_the_end_wake_who_waits() -> None:
    for wake in (Feed.ring, Feed.close):
        feed = Feed(places=1)
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(feed.wait, feed.rings, 3600)
            wake(feed)
            waiting.result(30)


def test_many_streams_are_one_reading(store: Store) -> None:
    feed = Feed(places=1)
    told = reading(feed, store)
    store.add(new_task())
    first = told.since(0, feed.rings)
    assert first.events
    store.add(new_task())
    feed.ring()
    assert told.since(0, feed.rings) is first, "the others go the same way, and miss nothing"
    second = told.since(first.number, feed.rings)
    assert second.events
    assert second.number == store.change_numbers()[1]
    assert told.since(second.number, feed.rings).events == b""


def test_what_comes_with_a_ring_is_read_at_once(store: Store) -> None:
    feed = Feed(places=1)
    told = reading(feed, store)
    assert told.since(0, feed.rings).events == b""
    store.add(new_task())
    feed.ring()
    assert told.since(0, feed.rings).events


def test_numbers_alone_make_no_event(store: Store) -> None:
    temperatures = iter(range(40, 90))
    told = reading(Feed(places=1), store, lambda: {"temperature_celsius": next(temperatures), "tasks": {}})
    first = told.system()
    assert first == b'event: system\ndata: {"temperature_celsius":40,"tasks":{}}\n\n'
    told._system_due = 0.0
    assert told.system() == first
    assert next(temperatures) == 42, "it has looked"


def test_what_was_removed_is_told_with_its_number(store: Store) -> None:
    task, _ = store.add(new_task())
    store.cancel(task.id)
    store.remove(task.id)
    batch = reading(Feed(places=1), store).since(2, 0)
    assert batch == (3, b'event: removed\nid: 3\ndata: {"id":1}\n\n')


def test_an_event_is_one_line_whatever_stands_in_the_database(store: Store) -> None:
    spaced = type(new_task().operations)(b'[{"name":\r\n"codes",\n"params":{}}]')
    store.add(new_task(operations=spaced))
    (change,) = store.changes_since(0, 1)
    lines = event("task", change.task, change.number).split(b"\n")
    assert lines[:2] == [b"event: task", b"id: 1"]
    assert lines[2].startswith(b"data: {")
    assert lines[3:] == [b"", b""]
    assert b"\r" not in lines[2]
