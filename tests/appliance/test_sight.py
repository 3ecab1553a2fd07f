"""A whole appliance that sees: real weights, real photographs, over HTTP."""

import io
import itertools
import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import psutil
import pytest
from PIL import Image

from tests import needs, weights
from tests.appliance.pictures import photograph, photograph_of_code
from tests.box import Answer, Box, eventually, running_box

PICTURES = Path(__file__).parent.parent / "pictures"
DOG, PERSON, ASTRONAUT = ((PICTURES / f"{name}.jpg").read_bytes() for name in ("dog", "person", "astronaut"))


@pytest.fixture(scope="module")
def sighted() -> Iterator[Box]:
    """An appliance with models, loaded at its start."""
    try:
        models = weights.folder("yunet", "nanodet")
        with models as folder, running_box(models_dir=folder, models_at_start="faces,objects") as box:
            yield box
    except FileNotFoundError as error:
        needs.skip("models", str(error))


@pytest.fixture
def blind(tmp_path: Path) -> Iterator[Box]:
    """An appliance without any model."""
    with running_box(models_dir=tmp_path / "models") as box:
        eventually(lambda: box.get("/v1/operations").json["opencv"], "a worker has told what its OpenCV can do")
        yield box


def results(box: Box, image: bytes, operations: str, source: str = "") -> Any:
    """What a task of this picture results in."""
    query = f"{urllib.parse.quote(operations)}&source={source}" if source else urllib.parse.quote(operations)
    answer = box.post(image, query, wait=20)
    assert answer.status == 201, answer.body
    assert answer.json["state"] == "done", answer.json
    return answer.json["result"]


def operation(box: Box, name: str) -> Any:
    """What /v1/operations says of one."""
    return next(told for told in box.get("/v1/operations").json["operations"] if told["name"] == name)


def put(weight: str, folder: Path, *, damaged: bool = False) -> None:
    """Install a model as `models install` does: whole, in one step."""
    found = weights.find(weights.model(weight).file)
    if found is None:
        needs.skip("models", weights.how_to_install(weights.model(weight).file))
    content = bytearray(found.read_bytes())
    if damaged:
        content[len(content) // 2] ^= 1
    folder.mkdir(exist_ok=True)
    (folder / "new").write_bytes(content)
    (folder / "new").rename(folder / found.name)


def test_one_picture_many_questions(sighted: Box) -> None:
    found = results(sighted, PERSON, "people,objects,faces,codes,quality,markers")
    assert {thing["label"] for thing in found["objects"]["objects"]} >= {"person", "dog", "horse"}
    assert found["people"]["count"] == 1
    assert found["codes"]["codes"] == []
    assert not found["quality"]["is_covered"]
    assert all(entry["milliseconds"] > 0 for entry in found.values())


def test_what_was_found_is_drawn(sighted: Box) -> None:
    answer = sighted.post(DOG, "annotate,objects", wait=20)
    drawing = sighted.get(f"/v1/tasks/{answer.json['id']}/annotated")
    assert drawing.headers["Content-Type"] == "image/jpeg"
    told = answer.json["result"]["annotate"]
    picture = Image.open(io.BytesIO(drawing.body))
    assert (picture.format, picture.size) == ("JPEG", (told["width_px"], told["height_px"]))
    assert len(drawing.body) == told["size_bytes"]
    assert picture.convert("RGB").tobytes() != Image.open(io.BytesIO(DOG)).convert("RGB").tobytes()


def test_the_picture_before_is_that_of_the_same_source(sighted: Box) -> None:
    assert results(sighted, DOG, "motion,quality", "door")["motion"]["is_compared"] is False
    results(sighted, PERSON, "motion", "garden")
    again = results(sighted, DOG, "motion,quality", "door")
    assert again["motion"] | {"milliseconds": 0} == {
        "milliseconds": 0,
        "is_compared": True,
        "score": 0.0,
        "changed_area": 0.0,
        "boxes": [],
    }
    assert again["quality"]["is_frozen"] is True
    moved = Image.open(io.BytesIO(DOG)).convert("RGB")
    moved.paste((255, 0, 255), (500, 300, 620, 420))
    file = io.BytesIO()
    moved.save(file, "PNG")
    third = results(sighted, file.getvalue(), "motion,quality", "door")
    box = third["motion"]["boxes"][0]
    assert abs(box["x"] - 500) < 12
    assert abs(box["y"] - 300) < 12
    assert abs(box["width"] - 120) < 24
    assert third["quality"]["is_frozen"] is False


def test_the_first_answer_of_a_warm_worker_is_there_at_once(sighted: Box) -> None:
    """The models were loaded at the start, and the server says which they are."""
    assert operation(sighted, "faces")["model"] == "yunet"
    assert operation(sighted, "objects")["model"] == "nanodet"
    assert len(results(sighted, ASTRONAUT, "faces")["faces"]["faces"]) == 1


def test_a_missing_model_is_told_when_the_task_is_made_and_missed_no_longer(blind: Box, tmp_path: Path) -> None:
    assert cv2.__version__.startswith("5."), "with OpenCV 4, faces have a stand-in"
    refused = blind.post(ASTRONAUT, "faces")
    assert (refused.status, refused.json["code"]) == (409, "model-missing")
    assert "models install faces" in refused.json["detail"]
    assert blind.tasks() == []
    assert not list((blind.data_dir / "images").glob("*/*"))
    told = operation(blind, "faces")
    assert (told["available"], told["problem"]["detail"]) == (False, refused.json["detail"])
    put("yunet", tmp_path / "models")
    assert len(results(blind, ASTRONAUT, "faces")["faces"]["faces"]) == 1
    assert operation(blind, "faces")["available"] is True


def test_a_damaged_model_is_told_and_not_loaded(blind: Box, tmp_path: Path) -> None:
    put("yunet", tmp_path / "models", damaged=True)
    refused = blind.post(ASTRONAUT, "faces")
    assert (refused.status, refused.json["code"]) == (409, "model-unusable")
    assert "damaged" in refused.json["detail"]
    assert operation(blind, "faces")["problem"]["code"] == "model-unusable"
    put("yunet", tmp_path / "models")
    assert len(results(blind, ASTRONAUT, "faces")["faces"]["faces"]) == 1


def test_a_model_that_cannot_be_loaded_ends_no_worker(blind: Box, tmp_path: Path) -> None:
    worker = blind.pid("worker:worker_1")
    folder = tmp_path / "models"
    folder.mkdir(exist_ok=True)
    (folder / "broken.onnx").write_bytes(b"\x08\x07" + bytes(range(256)) * 40)
    manifest = 'file = "broken.onnx"\nfamily = "yolox"\ninput_side_px = 416\nlabels = ["thing"]\n'
    (folder / "broken.toml").write_text(manifest)
    operations = json.dumps([{"name": "objects", "params": {"model": "broken"}}])

    def is_told() -> Answer | None:
        answer = blind.post(DOG, urllib.parse.quote(operations), wait=20)
        return answer if answer.status == 409 else None

    refused = eventually(is_told, "the model is known to be unusable")
    assert refused.json["code"] == "model-unusable"
    assert "broken.onnx" in refused.json["detail"]
    assert blind.pid("worker:worker_1") == worker
    assert results(blind, photograph_of_code()[0], "codes")["codes"]["codes"]


def test_what_a_task_needs_is_asked_before_it_is_made(sighted: Box) -> None:
    count = len(sighted.tasks())
    for operations, status, code, says in (
        ("motion", 400, "invalid-request", "source"),
        ("annotate", 400, "invalid-request", "other operations"),
        ('[{"name":"objects","params":{"labels":["dgo"]}}]', 422, "invalid-parameter", "'dog'"),
        ('[{"name":"objects","params":{"model":"nothing"}}]', 409, "model-missing", "nothing"),
    ):
        answer = sighted.post(photograph(), urllib.parse.quote(operations))
        assert (answer.status, answer.json["code"]) == (status, code), answer.json
        assert says in answer.json["detail"]
    assert len(sighted.tasks()) == count


def test_drawings_go_with_their_tasks(sighted: Box) -> None:
    """A drawing is kept with the pictures, under its own SHA-256."""
    found = results(sighted, DOG, "objects,annotate")["annotate"]["sha256"]
    kept = {
        file.name
        for file in itertools.chain.from_iterable(f.iterdir() for f in (sighted.data_dir / "images").iterdir())
    }
    assert found in kept


def test_memory_that_one_task_took_counts_against_no_later_one() -> None:
    """A network keeps its buffers of the largest picture, and a limit set once counted them for ever."""
    if weights.find(weights.model("yunet").file) is None:
        needs.skip("models", weights.how_to_install(weights.model("yunet").file))
    large = io.BytesIO()
    Image.new("RGB", (8000, 6000), "grey").save(large, "JPEG")
    square = io.BytesIO()
    Image.new("RGB", (3400, 3400), "grey").save(square, "JPEG")
    most = json.dumps([{"name": "faces", "params": {"max_side_px": 3400}}])
    with weights.folder("yunet") as folder, running_box(models_dir=folder) as box:
        results(box, DOG, "faces")
        for _ in range(2):
            results(box, square.getvalue(), most)
            resting = psutil.Process(box.pid("worker:worker_1")).memory_info().rss
            assert resting < 500_000_000
            results(box, large.getvalue(), "quality,codes")
