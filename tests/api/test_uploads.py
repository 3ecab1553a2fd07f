"""Every way to send a picture, and every way to get it wrong."""

import io
import urllib.parse
from typing import Any

import pytest
from PIL import Image as PillowImage

from tests.api.conftest import PICTURES, Api, assert_problem, form, png
from tests.box import Answer

PICTURE = png()
CODES = [{"name": "codes", "params": {"formats": []}}]
WITH_PARAMS = '[{"name":"codes","params":{"formats":["QRCode"]}},{"name":"quality","params":{"shadow_level":5}}]'


def jpeg(**options: Any) -> bytes:
    file = io.BytesIO()
    PillowImage.new("RGB", (50, 20), "green").save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "parts",
    [
        [("image", PICTURE), ("operations", "codes")],
        [("operations", "codes"), ("image", PICTURE)],
        [("source", "door"), ("image", PICTURE), ("operations", '["codes"]')],
    ],
)
def test_a_form_in_whatever_order(api: Api, parts: list[tuple[str, bytes | str]]) -> None:
    body, headers = form(*parts)
    answer = api.request("POST", "/v1/tasks", body, headers)
    assert answer.status == 201
    task = answer.json
    assert (task["state"], task["operations"], task["attempt"]) == ("queued", CODES, 0)
    assert task["source"] == dict(parts).get("source")
    assert task["image"] == {
        "sha256": task["image"]["sha256"],
        "format": "png",
        "width_px": 40,
        "height_px": 30,
        "size_bytes": len(PICTURE),
    }
    assert (task["result"], task["error"], task["started_at"], task["finished_at"]) == (None, None, None, None)
    assert answer.headers["Location"] == f"/v1/tasks/{task['id']}"
    assert api.get(answer.headers["Location"]).json == task
    assert api.get(answer.headers["Location"] + "/image").body == PICTURE


def names_of(answer: Answer) -> list[str]:
    assert answer.status == 201, answer.body
    return [operation["name"] for operation in answer.json["operations"]]


def test_operations_count_wherever_and_however_often_they_are_sent(api: Api) -> None:
    body, headers = form(("image", PICTURE), ("operations", "codes"), ("operations", '["markers"]'))
    answer = api.request("POST", "/v1/tasks?operations=quality&operations=text", body, headers)
    assert names_of(answer) == ["quality", "text", "codes", "markers"]
    assert names_of(api.post(PICTURE, "operations=quality&operations=codes")) == ["quality", "codes"]
    body, headers = form(("operations", "codes"), ("image", PICTURE), ("operations", "quality"))
    assert names_of(api.request("POST", "/v1/tasks", body, headers)) == ["codes", "quality"]


def test_the_same_sent_again_is_the_same(api: Api) -> None:
    body, headers = form(("image", PICTURE), ("operations", "codes"), ("operations", "codes"))
    assert names_of(api.request("POST", "/v1/tasks?operations=codes", body, headers)) == ["codes"]


@pytest.mark.parametrize("twice", ["operations=codes&operations=codes,quality", "operations=codes,codes"])
def test_an_operation_that_is_named_twice_is_refused(api: Api, twice: str) -> None:
    assert "'codes'" in assert_problem(api.post(PICTURE, twice), 400, "invalid-request")["detail"]


def test_a_source_is_one(api: Api) -> None:
    body, headers = form(("image", PICTURE), ("operations", "codes"), ("source", "door"))
    assert api.request("POST", "/v1/tasks?source=door", body, headers).json["source"] == "door"
    answer = api.request("POST", "/v1/tasks?source=gate", body, headers)
    assert "'gate' and 'door'" in assert_problem(answer, 400, "invalid-request")["detail"]
    body, headers = form(("image", PICTURE), ("operations", "codes"), ("source", "door"), ("source", "gate"))
    assert_problem(api.request("POST", "/v1/tasks", body, headers), 400, "invalid-request")


@pytest.mark.parametrize("content_type", ["image/png", "image/jpeg", "application/octet-stream", "text/plain", ""])
def test_a_raw_body_counts_by_its_bytes(api: Api, content_type: str) -> None:
    answer = api.post(PICTURE, "operations=codes&source=a%20door%20%E2%9C%93", {"Content-Type": content_type})
    assert answer.status == 201
    assert answer.json["image"]["format"] == "png"
    assert answer.json["source"] == "a door ✓"


def test_a_body_as_curl_sends_it_by_default(api: Api) -> None:
    answer = api.post(PICTURE, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 201


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_the_image_comes_back_byte_for_byte_with_its_type(api: Api, kind: str) -> None:
    file = io.BytesIO()
    PillowImage.new("RGB", (300, 200), "orange").save(file, kind)
    task = api.post(file.getvalue()).json
    answer = api.get(f"/v1/tasks/{task['id']}/image")
    assert (answer.status, answer.body) == (200, file.getvalue())
    assert answer.headers["Content-Type"] == f"image/{kind.lower()}"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert int(answer.headers["Content-Length"]) == len(file.getvalue())


def test_an_image_that_is_gone_is_lost(api: Api) -> None:
    task = api.post(png("brown")).json
    for file in (api.folder / "data" / "images").rglob(task["image"]["sha256"]):
        file.unlink()
    assert_problem(api.get(f"/v1/tasks/{task['id']}/image"), 410, "image-lost")


@pytest.mark.parametrize("sizes", [[1000], [1], [70, 200, 3], [100_000]])
def test_chunked_transfer(api: Api, sizes: list[int]) -> None:
    def chunks(data: bytes) -> Any:
        position, turn = 0, 0
        while position < len(data):
            size = sizes[turn % len(sizes)]
            yield data[position : position + size]
            position, turn = position + size, turn + 1

    answer = api.post(chunks(PICTURE))  # without a length, http.client sends it in chunks
    assert answer.status == 201
    assert answer.json["image"]["size_bytes"] == len(PICTURE)
    body, headers = form(("image", PICTURE), ("operations", "codes"))
    answer = api.request("POST", "/v1/tasks", chunks(body), headers)
    assert answer.status == 201


def test_operations_with_parameters(api: Api) -> None:
    query = "operations=" + urllib.parse.quote(WITH_PARAMS)
    body, headers = form(("operations", WITH_PARAMS), ("image", PICTURE))
    for answer in (api.post(PICTURE, query), api.request("POST", "/v1/tasks", body, headers)):
        assert answer.status == 201
        assert answer.json["operations"] == [
            {"name": "codes", "params": {"formats": ["QRCode"]}},
            {"name": "quality", "params": {"shadow_level": 5, "highlight_level": 245}},
        ]


def test_the_size_is_that_of_the_upright_picture(api: Api) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    image = api.post(jpeg(exif=exif)).json["image"]
    assert (image["width_px"], image["height_px"]) == (20, 50)


def test_a_photograph(api: Api) -> None:
    photograph = (PICTURES / "astronaut.jpg").read_bytes()
    assert api.post(photograph).json["image"]["size_bytes"] == len(photograph)
