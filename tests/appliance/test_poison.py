"""Pictures that kill, block or overfill their worker: each costs itself and nobody else."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.appliance.pictures import blank, faulty, photograph_of_code
from tests.box import Box, running_box


class Poisoned(NamedTuple):
    """Appliances that were given bad pictures first and good ones behind them."""

    crashing: Box
    crashers: list[int]  # ids of tasks
    behind_crashers: int
    hanging: Box
    hanger: int
    behind_hanger: int


@pytest.fixture(scope="module")
def poisoned(faults: dict[str, str]) -> Iterator[Poisoned]:
    with contextlib.ExitStack() as stack:
        crashing = stack.enter_context(running_box(faults, task_memory_bytes=64 << 20, max_upload_bytes=100_000_000))
        hanging = stack.enter_context(running_box(faults, task_deadline_seconds=2, database_timeout_seconds=1))
        good, _ = photograph_of_code()
        yield Poisoned(
            crashing,
            [crashing.post(faulty("SEGFAULT", name=name), "quality").json["id"] for name in ("one", "two", "three")],
            crashing.post(good).json["id"],
            hanging,
            hanging.post(faulty("HANG"), "quality").json["id"],
            hanging.post(good).json["id"],
        )


def test_a_picture_that_never_ends_is_ended_by_the_deadline_and_quarantined(poisoned: Poisoned) -> None:
    task = poisoned.hanging.finished(poisoned.hanger)
    assert (task["state"], task["attempt"], task["error"]["code"]) == ("quarantined", 2, "deadline-exceeded")
    behind = poisoned.hanging.finished(poisoned.behind_hanger)
    assert (behind["state"], behind["attempt"]) == ("done", 1)
    assert behind["finished_at"] <= task["started_at"], "it goes behind the others, and is tried once more only then"


def test_pictures_that_kill_their_worker_are_quarantined_and_the_one_behind_them_is_done(poisoned: Poisoned) -> None:
    """Nine deaths in a row are more than supervisord takes before it gives the worker up: health goes on from there."""
    for task_id in poisoned.crashers:
        task = poisoned.crashing.finished(task_id, timeout=120)
        assert (task["state"], task["attempt"], task["error"]["code"]) == ("quarantined", 3, "worker-died")
    behind = poisoned.crashing.finished(poisoned.behind_crashers)
    assert (behind["state"], behind["attempt"]) == ("done", 1)


def test_a_quarantined_picture_may_be_tried_again_and_is_quarantined_again(poisoned: Poisoned) -> None:
    box, task_id = poisoned.crashing, poisoned.crashers[0]
    box.finished(task_id, timeout=120)

    answer = box.request("POST", f"/v1/tasks/{task_id}/retry")

    assert (answer.status, answer.json["state"], answer.json["attempt"]) == (200, "queued", 0)
    assert answer.json["error"] is None
    task = box.finished(task_id)
    assert (task["state"], task["attempt"], task["error"]["code"]) == ("quarantined", 3, "worker-died")
    assert text_of(box.post(photograph_of_code()[0], wait=30).json) == photograph_of_code()[1]


@pytest.mark.parametrize(
    ("side_px", "kind"),
    [(7000, ".png"), (7000, ".jpg"), (7000, ".webp"), pytest.param(5500, ".bmp", id="90 MB, too large to read at all")],
)
def test_a_picture_that_needs_too_much_memory_fails_and_kills_nobody(
    poisoned: Poisoned, side_px: int, kind: str
) -> None:
    box = poisoned.crashing
    box.finished(poisoned.behind_crashers, timeout=120)
    worker = box.pid("worker:worker_1")

    task = box.post(blank(side_px, side_px, kind), "quality", wait=30).json

    assert (task["state"], task["error"]["code"], task["attempt"]) == ("failed", "out-of-memory", 1)
    assert text_of(box.post(photograph_of_code()[0], wait=30).json) == photograph_of_code()[1]
    assert box.pid("worker:worker_1") == worker


def test_an_operation_that_needs_too_much_memory_says_so(poisoned: Poisoned) -> None:
    """The picture fits into the memory once, as pixels, but not twice."""
    box = poisoned.crashing
    box.finished(poisoned.behind_crashers, timeout=120)
    worker = box.pid("worker:worker_1")

    seen = [box.post(blank(side, side), "codes", wait=30).json for side in range(4000, 4800, 100)]

    errors = [task["error"] for task in seen if task["state"] == "failed"]
    assert errors
    assert {error["code"] for error in errors} == {"out-of-memory"}
    assert {task["state"] for task in seen} <= {"done", "failed"}
    assert box.pid("worker:worker_1") == worker


def text_of(task: dict[str, Any]) -> object:
    (code,) = task["result"]["codes"]["codes"]
    return code["text"]
