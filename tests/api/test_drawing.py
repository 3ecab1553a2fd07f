"""A task's pictures: as it was sent, small, and with what was drawn on it."""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from pivision.images import Images
from pivision.task import TaskError
from tests.api.conftest import Api, assert_problem, png, serving

PREVIEW = b"\xff\xd8 as good as a small one \xff\xd9"
DRAWING = b"\xff\xd8\xff\xe0 as good as a JPEG: nobody looks into it"


@pytest.fixture
def api() -> Iterator[Api]:
    """A server of its own for each test: here the tests claim what is queued."""
    with serving() as api:
        yield api


def made(api: Api, query: str = "operations=codes,annotate") -> int:
    task_id: int = api.post(png(), query).json["id"]
    return task_id


def finished(api: Api, annotate: dict[str, Any] | None, drawing: bytes | None = DRAWING) -> int:
    """A task that was made, and done by a worker that has kept what it has drawn."""
    task_id = made(api)
    store, images = api.store, Images(api.folder / "data" / "images", reserve_bytes=0)
    task = store.claim(1)
    assert task is not None
    assert task.id == task_id
    with images.kept(drawing or DRAWING):
        store.finish(
            task, msgspec.json.encode({"codes": {"codes": []}, **({"annotate": annotate} if annotate else {})})
        )
    return task_id


def told(drawing: bytes = DRAWING) -> dict[str, Any]:
    sha256 = hashlib.sha256(drawing).hexdigest()
    return {"milliseconds": 2.5, "sha256": sha256, "width_px": 40, "height_px": 30, "size_bytes": len(drawing)}


def test_a_drawing_comes_byte_for_byte(api: Api) -> None:
    path = f"/v1/tasks/{finished(api, told())}/annotated"
    answer = api.get(path)
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, DRAWING, "image/jpeg")
    assert int(answer.headers["Content-Length"]) == len(DRAWING)
    head = api.request("HEAD", path)
    assert (head.status, head.body) == (200, b"")


def test_a_browser_that_has_a_picture_is_not_sent_it_again(api: Api) -> None:
    task_id = finished(api, told())
    images = Images(api.folder / "data" / "images", reserve_bytes=0)
    images.keep_preview(hashlib.sha256(png()).hexdigest(), PREVIEW)
    for kind, content in (("image", png()), ("preview", PREVIEW), ("annotated", DRAWING)):
        path = f"/v1/tasks/{task_id}/{kind}"
        first = api.get(path)
        assert (first.status, first.body, first.headers["Cache-Control"]) == (200, content, "private, no-cache")
        again = api.request("GET", path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status, again.body) == (304, b"")
        other = api.request("GET", path, headers={"If-None-Match": '"of another picture"'})
        assert (other.status, other.body) == (200, content)
        nobody = api.request("GET", path, headers={"If-None-Match": first.headers["ETag"], "Authorization": ""})
        assert nobody.status == 401


def test_until_there_is_a_small_picture_the_whole_one_is_sent(api: Api) -> None:
    path = f"/v1/tasks/{made(api)}/preview"
    whole = api.get(path)
    assert (whole.status, whole.body, whole.headers["Content-Type"]) == (200, png(), "image/png")
    Images(api.folder / "data" / "images", 0).keep_preview(hashlib.sha256(png()).hexdigest(), PREVIEW)
    small = api.request("GET", path, headers={"If-None-Match": whole.headers["ETag"]})
    assert (small.status, small.body, small.headers["Content-Type"]) == (200, PREVIEW, "image/jpeg")
    assert_problem(api.get("/v1/tasks/99/preview"), 404, "task-not-found")


def test_a_task_without_one_says_why(api: Api) -> None:
    error = {"error": {"code": "storage-full", "detail": "no room for it"}}
    for task_id, says in (
        (finished(api, None), "add the operation annotate"),
        (finished(api, error), "no room for it [storage-full]"),
        (made(api), "it is queued"),
    ):
        problem = assert_problem(api.get(f"/v1/tasks/{task_id}/annotated"), 404, "not-found")
        assert says in problem["detail"]
    task = api.store.claim(1)
    assert task is not None
    api.store.fail(task, TaskError("image-undecodable", "no"), b"{}")
    assert_problem(api.get(f"/v1/tasks/{task.id}/annotated"), 404, "not-found")
    assert_problem(api.get("/v1/tasks/999999/annotated"), 404, "task-not-found")


def test_a_drawing_that_is_gone_is_lost(api: Api) -> None:
    task_id = finished(api, told(b"gone"), b"gone")
    sha256 = hashlib.sha256(b"gone").hexdigest()
    (api.folder / "data" / "images" / sha256[:2] / sha256).unlink()
    assert_problem(api.get(f"/v1/tasks/{task_id}/annotated"), 410, "image-lost")
    assert api.get(f"/v1/tasks/{task_id}").json["state"] == "done"


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_a_drawing_is_only_read(api: Api, method: str) -> None:
    assert_problem(api.request(method, f"/v1/tasks/{made(api)}/annotated"), 405, "method-not-allowed")
