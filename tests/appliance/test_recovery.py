"""Any program is killed at any moment: it is back, and what was accepted is done."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.appliance.pictures import faulty, photograph_of_code
from tests.box import Box, eventually, is_alive, running_box


@pytest.fixture(scope="module")
def box(faults: dict[str, str]) -> Iterator[Box]:
    with running_box(faults) as running:
        yield running


def test_a_killed_server_serves_again(box: Box) -> None:
    image, text = photograph_of_code()
    before = box.post(image).json["id"]

    killed = box.signal("server", signal.SIGKILL)

    eventually(lambda: box.get("/healthz").status == 200, "the server answers again")
    assert box.pid("server") != killed
    assert text_of(box.finished(before)) == text
    assert text_of(box.post(image, wait=30).json) == text


def test_a_task_whose_worker_is_killed_is_done_by_the_next_one(box: Box) -> None:
    task_id = box.post(faulty("SLOW", 3), "quality").json["id"]
    eventually(lambda: box.task(task_id)["state"] == "running", "the worker is at it")

    killed = box.signal("worker:worker_1", signal.SIGKILL)

    task = box.finished(task_id)
    assert (task["state"], task["attempt"]) == ("done", 2)
    assert box.pid("worker:worker_1") != killed
    assert f"task {task_id} is queued again after attempt 1" in box.log("worker_1")


def test_killed_health_watches_again(box: Box) -> None:
    before = eventually(lambda: box.get("/v1/system").json["health"], "health has reported")

    killed = box.signal("health", signal.SIGKILL)

    assert eventually(lambda: (pid := box.pid("health")) != killed and pid, "health is back")
    eventually(
        lambda: box.get("/v1/system").json["health"]["boottime_seconds"] > before["boottime_seconds"],
        "the new health has reported",
    )


def test_a_killed_supervisord_leaves_no_orphan_and_its_successor_goes_on(box: Box) -> None:
    task_id = box.post(faulty("SLOW", 2), "quality").json["id"]
    eventually(lambda: box.task(task_id)["state"] == "running", "the worker is at it")
    programs = box.pids()
    assert len(programs) == 3
    assert box.process is not None

    box.process.kill()
    box.process.wait()
    eventually(lambda: not any(is_alive(pid) for pid in programs), "its programs are gone, too")
    box.start()

    assert not set(programs) & set(box.pids())
    task = box.finished(task_id)
    assert (task["state"], task["attempt"]) == ("done", 2)


def text_of(task: dict[str, Any]) -> object:
    (code,) = task["result"]["codes"]["codes"]
    return code["text"]
