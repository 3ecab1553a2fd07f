"""DeepStack's protocol on a running appliance: real workers, real weights, real photographs."""

from collections.abc import Iterator
from typing import Any

import pytest

from pivision.models.catalogue import CATALOGUE
from tests.api.conftest import PICTURES, form
from tests.appliance.pictures import photograph
from tests.box import Box, eventually, running_box
from tests.vision.conftest import weights

MODELS = ("yunet", "nanodet")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """An appliance with a model for objects and one for faces."""
    folder = tmp_path_factory.mktemp("models")
    for model in CATALOGUE:
        if model.name in MODELS:
            (folder / model.file).symlink_to(weights(model.file))
    with running_box(models_dir=folder) as running:
        yield running


def ask(box: Box, path: str, picture: str, **fields: str) -> Any:
    """What a camera's software does: a form with the picture, and the token as its api_key."""
    image = (PICTURES / picture).read_bytes()
    body, headers = form(("image", image), ("api_key", box.token), *fields.items())
    answer = box.request("POST", f"/v1/vision/{path}", body, {**headers, "Authorization": ""}, timeout=60)
    assert answer.status == 200, answer.body
    assert answer.json["success"]
    return answer.json["predictions"]


def overlap(prediction: Any, x_min: int, y_min: int, x_max: int, y_max: int) -> float:
    """Intersection over union with a box that a person has drawn."""
    width = min(prediction["x_max"], x_max) - max(prediction["x_min"], x_min)
    height = min(prediction["y_max"], y_max) - max(prediction["y_min"], y_min)
    shared = max(0, width) * max(0, height)
    mine = (prediction["x_max"] - prediction["x_min"]) * (prediction["y_max"] - prediction["y_min"])
    return float(shared / (mine + (x_max - x_min) * (y_max - y_min) - shared))


@pytest.mark.parametrize("path", ["detection", "custom/nanodet"])
def test_the_dog_is_found(box: Box, path: str) -> None:
    predictions = ask(box, path, "dog.jpg")
    (dog,) = [each for each in predictions if each["label"] == "dog"]
    assert overlap(dog, 132, 221, 313, 540) > 0.6
    confidences = [each["confidence"] for each in predictions]
    assert confidences == sorted(confidences, reverse=True), "some clients stop at the first that is too small"


def test_the_astronauts_face_is_found(box: Box) -> None:
    (face,) = ask(box, "face", "astronaut.jpg", min_confidence="0.6")
    assert face["label"] == "face"


def test_a_higher_confidence_finds_less(box: Box) -> None:
    few, many = (len(ask(box, "detection", "dog.jpg", min_confidence=least)) for least in ("0.99", "0.3"))
    assert few < many


def test_who_waits_goes_ahead_of_a_full_queue(box: Box) -> None:
    batch = [box.post(photograph(), "codes,quality").json["id"] for _ in range(40)]
    ask(box, "detection", "dog.jpg")
    assert box.task(batch[-1])["state"] == "queued"
    eventually(lambda: box.unfinished() == 0, "the batch is done, too", 120)


def test_a_picture_that_cannot_be_decoded_is_an_error_in_their_form(box: Box) -> None:
    body, headers = form(("image", b"no picture"), ("api_key", box.token))
    answer = box.request("POST", "/v1/vision/detection", body, headers)
    assert (answer.status, answer.json["success"]) == (400, False)
