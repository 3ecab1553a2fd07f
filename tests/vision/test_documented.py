"""docs/operations.md shows a real picture's result for each operation: that is what these pictures give."""

import json
import math
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pivision import operations, picture
from pivision.abilities import require
from pivision.config import ROOT
from pivision.models import Models
from pivision.operations import OPERATIONS
from pivision.vision import Vision, frame, opencv
from pivision.vision.scene import Scene
from tests.vision.conftest import PICTURES, photograph

DOCUMENT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(
    r"^## (\w+)$.*?`tests/pictures/([^`]+)`, `operations=([^`]+)`:\n\n((?:    [^\n]*\n)+)", re.M | re.S
)
EXAMPLES = {name: found for name, *found in EXAMPLE.findall(DOCUMENT)}
BEFORE = {"motion": "dog.jpg"}  # the picture before; the others have none
NEAR = {"x": 3.0, "y": 3.0, "width": 3.0, "height": 3.0}  # pixels; versions of OpenCV differ by a trifle
ALMOST = 0.02


def test_every_operation_has_its_chapter() -> None:
    assert re.findall(r"^## (\w+)$", DOCUMENT, re.MULTILINE)[: len(OPERATIONS)] == list(OPERATIONS)
    assert EXAMPLES.keys() == OPERATIONS.keys()


@pytest.mark.parametrize("operation", EXAMPLES)
def test_the_example(operation: str, install: Callable[..., Models]) -> None:
    name, asked, shown = EXAMPLES[operation]
    data = (PICTURES / name).read_bytes()
    upright = frame.decode(data, picture.inspect(data).orientation)
    models = install("yunet", "nanodet")
    scene = Scene(upright, lambda: photograph(BEFORE[operation]) if operation in BEFORE else None, {}, lambda _: "")
    for call in operations.parse(asked):
        scene.found[call.name] = Vision().run(call, scene, require(call, models, None))
    found = msgspec.to_builtins(scene.found[operation])
    assert_like(found, json.loads(shown), operation)


def assert_like(found: Any, shown: Any, where: str) -> None:
    """The same, but for what a version of OpenCV rounds in its own way; "…" stands for anything."""
    if shown == "…":
        return
    if isinstance(shown, dict):
        assert found.keys() == shown.keys(), where
        for key in shown:
            assert_like(found[key], shown[key], f"{where}.{key}")
    elif isinstance(shown, list):
        assert len(found) >= len(shown), where
        for number, (one, other) in enumerate(zip(found, shown, strict=False)):
            assert_like(one, other, f"{where}[{number}]")
    elif isinstance(shown, float):
        key = where.rpartition(".")[2]
        assert math.isclose(found, shown, abs_tol=NEAR.get(key, ALMOST), rel_tol=ALMOST), (where, found, shown)
    else:
        assert found == shown, where


def test_the_table_of_versions_says_what_this_one_has() -> None:
    """The stand-ins, in the column of the OpenCV that runs this."""
    import cv2

    version = ".".join(cv2.__version__.split(".")[:2])
    header = next(line for line in DOCUMENT.splitlines() if line.startswith("| OpenCV |"))
    columns = [cell.strip() for cell in header.strip("|").split("|")]
    column = next(number for number, cell in enumerate(columns) if cell.startswith(version))
    rows = {
        cells[0]: cells[column]
        for line in DOCUMENT.splitlines()
        if (cells := [cell.strip() for cell in line.strip("|").split("|")]) and len(cells) == len(columns)
    }
    assert (rows["faces without a model"] == "Haar cascade") is (opencv.face_cascade() is not None)
    assert (rows["people without a model"] == "HOG") is opencv.has_people_detector()
