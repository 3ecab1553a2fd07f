"""Pictures as cameras and programs really write them, on a running appliance."""

import io
from typing import Any

import numpy as np
from PIL import Image

from tests.appliance.pictures import encoded, photograph, qr_code
from tests.box import Box


def result(box: Box, image: bytes, operation: str) -> Any:
    """What the operation gives for this image."""
    answer = box.post(image, operation, wait=20)
    assert answer.status == 201, answer.body
    assert answer.json["state"] == "done", answer.json
    return answer.json["result"][operation]


def test_half_a_picture_is_not_taken_silently(box: Box) -> None:
    whole = photograph()
    assert "warnings" not in result(box, whole, "quality")
    half = result(box, whole[: len(whole) // 2] + b"\xff\xd9", "quality")
    assert "premature end" in half["warnings"][0]
    assert half["sharpness"] > 0


def test_a_whole_picture_without_its_end_is_taken(box: Box) -> None:
    whole = photograph()
    expected = result(box, whole, "quality")
    found = result(box, whole[:-2] + bytes(800), "quality")
    assert {**found, "milliseconds": 0} == {**expected, "milliseconds": 0}


def test_a_code_on_a_transparent_ground_is_read(box: Box) -> None:
    black = Image.open(io.BytesIO(qr_code("on nothing"))).convert("L")
    alpha = np.where(np.asarray(black) > 127, 0, 255).astype(np.uint8)
    pixels = np.dstack([np.zeros((*alpha.shape, 3), np.uint8), alpha])
    assert result(box, encoded(pixels), "codes")["codes"][0]["text"] == "on nothing"


def test_what_is_not_read_is_refused_by_its_name(box: Box) -> None:
    answer = box.post(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(1000))
    assert (answer.status, answer.json["code"]) == (415, "image-unsupported")
    assert "HEIC" in answer.json["detail"]
