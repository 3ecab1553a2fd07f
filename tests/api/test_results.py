"""A picture goes in, a worker looks at it, and the answer comes out."""

import contextlib
import io
import json
import struct
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import qrcode
from PIL import ExifTags, ImageChops, ImageStat
from PIL import Image as PillowImage

from tests.api.conftest import PATIENCE_SECONDS, PICTURES, Api, assert_problem, form, png, serving
from tests.api.test_system import validate
from tests.box import Answer, eventually


def code_picture(text: str, kind: str = "PNG") -> bytes:
    code = qrcode.QRCode(border=4, box_size=6)
    code.add_data(text.encode())
    file = io.BytesIO()
    code.make_image().get_image().convert("RGB").save(file, kind)
    return file.getvalue()


def test_the_main_job(working: Api) -> None:
    body, headers = form(("image", code_picture("hello, Pi", "JPEG")), ("operations", "codes,quality"))
    answer = working.request("POST", "/v1/tasks?wait=15", body, headers)
    task = answer.json
    assert (answer.status, task["state"], task["attempt"], task["error"]) == (201, "done", 1, None)
    assert set(task["result"]) == {"codes", "quality"}
    (code,) = task["result"]["codes"]["codes"]
    assert (code["text"], code["format"]) == ("hello, Pi", "QRCode")
    for corner, (x, y) in zip(code["corners"], [(24, 24), (150, 24), (150, 150), (24, 150)], strict=True):
        assert abs(corner["x"] - x) <= 2
        assert abs(corner["y"] - y) <= 2
    assert task["result"]["quality"]["exposure"]["verdict"] == "high-contrast"
    assert task["result"]["quality"]["contrast"] > 0.8
    assert all(outcome["milliseconds"] > 0 for outcome in task["result"].values())
    assert task["created_at"] <= task["started_at"] <= task["finished_at"]
    assert task["created_at"].endswith("Z")
    assert working.get(answer.headers["Location"]).json == task


def test_of_a_large_picture_there_is_a_small_one_upright(working: Api) -> None:
    """The picture lies on its side, as telephones take them: EXIF says that its top is at the right."""
    dog = PillowImage.open(PICTURES / "dog.jpg")
    sent = io.BytesIO()
    exif = PillowImage.Exif()
    exif[ExifTags.Base.Orientation] = 6
    dog.transpose(PillowImage.Transpose.ROTATE_90).save(sent, "JPEG", quality=90, exif=exif)
    task = working.post(sent.getvalue(), "operations=quality&wait=15").json
    answer = working.get(f"/v1/tasks/{task['id']}/preview")
    assert len(answer.body) < task["image"]["size_bytes"] / 2
    small = PillowImage.open(io.BytesIO(answer.body))
    assert (small.format, small.size) == ("JPEG", (640, 480))
    difference = ImageChops.difference(
        small.convert("L"), dog.resize((640, 480), PillowImage.Resampling.BOX).convert("L")
    )
    assert ImageStat.Stat(difference).mean[0] < 4


def test_a_small_picture_is_its_own_preview(working: Api) -> None:
    picture = code_picture("small enough")
    task = working.post(picture, "operations=quality&wait=15").json
    assert working.get(f"/v1/tasks/{task['id']}/preview").body == picture


def test_a_raw_picture_with_parameters(working: Api) -> None:
    operations = '[{"name":"codes","params":{"formats":["EAN13"]}}]'.replace('"', "%22")
    task = working.post(code_picture("no EAN"), f"operations={operations}&wait=15").json
    assert (task["state"], task["result"]["codes"]["codes"]) == ("done", [])


def test_without_wait_the_task_is_answered_at_once_and_done_soon(working: Api) -> None:
    task = working.post(code_picture("later")).json
    assert task["result"] is None
    done: Any = eventually(
        lambda: (seen := working.get(f"/v1/tasks/{task['id']}").json)["finished_at"] and seen, "the task is done"
    )
    assert done["result"]["codes"]["codes"][0]["text"] == "later"


@pytest.mark.parametrize("file", ["qrcode-13.webp", "ean13-03.webp", "code128-1.png", "datamatrix-hello.png"])
def test_photographs(working: Api, file: str) -> None:
    result = working.post((PICTURES / file).read_bytes(), "operations=codes&wait=15").json["result"]
    assert result["codes"]["codes"][0]["text"] == (PICTURES / file).with_suffix(".txt").read_text().strip()


def test_results_are_as_their_schemas_say(working: Api) -> None:
    offered = [each for each in working.get("/v1/operations").json["operations"] if each["available"]]
    names = ",".join(operation["name"] for operation in offered)
    result = working.post(code_picture("schema"), f"operations={names}&source=door&wait=15").json["result"]
    for operation in offered:
        validate(result[operation["name"]], operation["result"], operation["result"])


def whole_outside_and_broken_inside() -> bytes:
    """A PNG whose chunks are in order and whose pixels are none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 50, 50, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"no zlib stream") + chunk(b"IEND", b"")


def test_a_picture_that_cannot_be_decoded_fails_its_task_only(working: Api) -> None:
    task = working.post(whole_outside_and_broken_inside(), "operations=codes&wait=15").json
    assert (task["state"], task["error"]["code"], task["attempt"]) == ("failed", "image-undecodable", 1)
    assert working.post(png(), "operations=quality&wait=15").json["state"] == "done"
    retried = working.request("POST", f"/v1/tasks/{task['id']}/retry")
    assert (retried.status, retried.json["state"]) == (200, "queued")
    eventually(lambda: working.get(f"/v1/tasks/{task['id']}").json["state"] == "failed", "it failed again")


def test_a_repeated_request_waits_for_the_same_task(working: Api) -> None:
    headers = {"Idempotency-Key": "results"}
    first = working.post(code_picture("once"), "operations=codes&wait=15", headers)
    again = working.post(code_picture("once"), "operations=codes&wait=15", headers)
    assert first.json == again.json
    assert again.json["state"] == "done"


def test_the_system_knows_its_worker(working: Api) -> None:
    (worker,) = working.get("/v1/system").json["workers"]
    assert worker["number"] == 1
    assert worker["pid"] > 0
    assert worker["is_fresh"]


def test_a_wait_that_is_too_short_answers_with_the_task_as_it_is(api: Api) -> None:
    answer = api.post(png(), "operations=codes&wait=0.05")
    assert (answer.status, answer.json["state"]) == (201, "queued")


@pytest.fixture
def small() -> Iterator[Api]:
    """A server with four threads, two of which may wait."""
    with serving(server_threads=4) as api:
        yield api


def test_those_who_wait_leave_room_for_the_others(small: Api) -> None:
    answers: list[Answer] = []
    waiting = [
        threading.Thread(target=lambda: answers.append(small.post(png(), "operations=codes&wait=20"))) for _ in range(2)
    ]
    for thread in waiting:
        thread.start()
    eventually(lambda: sum(small.store.counts().values()) == 2, "both wait")

    before = small.files()
    refused = small.post(png("red"), "operations=codes&wait=20")
    assert_problem(refused, 503, "too-many-waiting")
    assert small.files() == before  # refused before anything was stored
    assert small.get("/healthz").status == 200
    assert small.post(png(), "operations=codes").status == 201  # without waiting it goes on

    with small.program("pivision.worker", "1"):
        for thread in waiting:
            thread.join(PATIENCE_SECONDS)
    assert [answer.json["state"] for answer in answers] == ["done", "done"]


def test_who_waits_gets_an_answer_when_the_server_stops() -> None:
    answers: list[Answer] = []
    with contextlib.ExitStack() as stack:
        api = stack.enter_context(serving())
        waiting = threading.Thread(target=lambda: answers.append(api.post(png(), "operations=codes&wait=20")))
        waiting.start()
        eventually(lambda: sum(api.store.counts().values()) == 1, "it waits")
    waiting.join(PATIENCE_SECONDS)
    assert [(answer.status, json.loads(answer.body)["state"]) for answer in answers] == [(201, "queued")]
