"""Idempotency-Key: a request that is repeated makes nothing new."""

import threading

import pytest

from pivision.task import State
from tests.api.conftest import Api, assert_problem, form, png
from tests.box import Answer


def keyed(api: Api, key: str, body: bytes = png(), query: str = "operations=codes") -> Answer:
    return api.post(body, query, {"Idempotency-Key": key})


def test_the_same_request_gets_the_same_task(api: Api) -> None:
    first = keyed(api, "same")
    again = keyed(api, "same")
    assert (first.status, again.status) == (201, 201)
    assert again.json == first.json
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"


def test_it_is_the_same_however_it_is_written(api: Api) -> None:
    first = keyed(api, "written", query="operations=codes,quality")
    again = keyed(api, "written", query='operations=["codes",{"name":"quality","params":{}}]'.replace('"', "%22"))
    body, headers = form(("operations", "codes,quality"), ("image", png()))
    form_again = api.request("POST", "/v1/tasks", body, {**headers, "Idempotency-Key": "written"})
    assert first.json == again.json == form_again.json


def test_the_task_comes_as_it_is_by_now(api: Api) -> None:
    task_id = keyed(api, "by now", png("navy")).json["id"]
    assert api.request("DELETE", f"/v1/tasks/{task_id}").status == 200
    again = keyed(api, "by now", png("navy"))
    assert (again.status, again.json["id"], again.json["state"]) == (201, task_id, "cancelled")


@pytest.mark.parametrize(
    ("body", "query"),
    [
        (png("red"), "operations=codes"),
        (png(), "operations=quality"),
        (png(), "operations=codes&source=door"),
    ],
    ids=["image", "operations", "source"],
)
def test_another_request_with_the_same_key_is_refused_and_leaves_nothing(api: Api, body: bytes, query: str) -> None:
    keyed(api, "taken")
    before = api.files(), api.store.counts()
    assert_problem(keyed(api, "taken", body, query), 422, "idempotency-key-reused")
    assert (api.files(), api.store.counts()) == before


def test_another_key_is_another_task(api: Api) -> None:
    assert keyed(api, "one").json["id"] != keyed(api, "other").json["id"]
    assert api.post(png()).json["id"] != api.post(png()).json["id"]


@pytest.mark.parametrize(
    ("key", "status"),
    [
        (b"x", 201),
        (b"x" * 200, 201),
        ("ü".encode() * 200, 201),
        (b"x" * 201, 400),
        ("ü".encode() * 201, 400),
        (b"", 400),
        ("ü{}\"'".encode(), 201),
        ("ü{}\"'".encode("latin-1"), 400),
        (b"\xed\xa0\x80", 400),
    ],
)
def test_which_keys_are_taken(api: Api, key: bytes, status: int) -> None:
    assert keyed(api, key.decode("latin-1")).status == status  # http.client sends each character as a byte


def test_repeated_at_the_same_moment_it_is_still_one(api: Api) -> None:
    before = api.store.counts()[State.QUEUED]
    start = threading.Barrier(6)
    answers: list[Answer] = []

    def send() -> None:
        start.wait()
        answers.append(keyed(api, "at once"))

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [201] * 6
    assert len({answer.json["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert api.store.counts()[State.QUEUED] == before + 1
