"""Requests that wait for their results: as many as there are seats, and never at the cost of the others."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.appliance.pictures import photograph, photograph_of_code
from tests.box import Box, eventually, running_box

SEATS = 2


@pytest.fixture
def box() -> Iterator[Box]:
    """Nothing works here: a person has stopped the only worker."""
    with running_box(server_threads=SEATS + 2) as running:
        assert running.supervisorctl("stop", "worker:worker_1").returncode == 0
        yield running


def test_who_finds_no_seat_is_turned_away_at_once_and_nothing_of_theirs_is_kept(box: Box) -> None:
    image, _ = photograph_of_code()
    surplus = 10
    with ThreadPoolExecutor(SEATS) as seated, ThreadPoolExecutor(surplus) as others:
        waiting = [seated.submit(box.post, image, wait=60) for _ in range(SEATS)]
        eventually(lambda: queued(box) == SEATS, "every seat is taken")

        refused = list(others.map(lambda _: box.post(photograph(), wait=60), range(surplus)))

        for answer in refused:
            assert (answer.status, answer.json["code"]) == (503, "too-many-waiting")
            assert answer.json["retryable"]
            assert int(answer.headers["Retry-After"]) > 0
        assert queued(box) == SEATS
        assert len(box.images()) == 1
        assert box.get("/healthz").status == 200
        assert box.post(image).status == 201, "who does not wait needs no seat"
        assert not any(request.done() for request in waiting)

        assert box.supervisorctl("start", "worker:worker_1").returncode == 0
        assert [request.result().json["state"] for request in waiting] == ["done"] * SEATS

    assert box.post(image, wait=60).json["state"] == "done", "the seats are free again"


def test_at_the_end_of_the_wait_the_task_is_answered_as_it_is(box: Box) -> None:
    answer = box.post(photograph(), wait=0.5)
    assert (answer.status, answer.json["state"], answer.json["result"]) == (201, "queued", None)
    assert answer.headers["Location"] == f"/v1/tasks/{answer.json['id']}"
    assert box.task(answer.json["id"])["state"] == "queued"


def queued(box: Box) -> int:
    return int(box.get("/v1/system").json["tasks"]["queued"])
