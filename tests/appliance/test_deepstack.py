"""DeepStack's protocol on a running appliance: real workers, real weights, real photographs."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pivision.models.catalogue import CATALOGUE
from tests.api.conftest import PICTURES, form
from tests.appliance.pictures import photograph
from tests.box import Box, eventually, running_box
from tests.vision.conftest import weights
from tests.vision.networks import iou

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


def overlap(prediction: Any, *drawn: float) -> float:
    """Intersection over union with a box that a person has drawn: left, top, right, bottom."""
    x_min, y_min, x_max, y_max = (prediction[edge] for edge in ("x_min", "y_min", "x_max", "y_max"))
    left, top, right, bottom = drawn
    return iou((x_min, y_min, x_max, y_max), (left, top, right, bottom))


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
    box.signal("worker:worker_1", signal.SIGSTOP)
    batch = [box.post(photograph(), "codes,quality").json["id"] for _ in range(5)]
    with ThreadPoolExecutor(1) as somebody:
        answer = somebody.submit(ask, box, "detection", "dog.jpg")
        (waiting,) = eventually(
            lambda: [task for task in box.tasks() if (task["lane"], task["state"]) == ("live", "queued")],
            "somebody waits behind the batch",
        )
        box.signal("worker:worker_1", signal.SIGCONT)
        assert answer.result(60)
    started = {task_id: box.finished(task_id)["started_at"] for task_id in (waiting["id"], *batch)}
    assert min(started, key=lambda task_id: started[task_id]) == waiting["id"]


def test_a_picture_that_cannot_be_decoded_is_an_error_in_their_form(box: Box) -> None:
    body, headers = form(("image", b"no picture"), ("api_key", box.token))
    answer = box.request("POST", "/v1/vision/detection", body, headers)
    assert (answer.status, answer.json["success"]) == (400, False)
