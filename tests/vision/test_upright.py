"""Where things are is said in pixels of the upright picture, however the camera was held."""

from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from pivision import picture
from pivision.models import Models
from pivision.operations import OPERATIONS, OperationCall
from pivision.vision import Vision, frame
from pivision.vision.scene import Scene
from tests.unit.conftest import encoded
from tests.unit.test_picture import tiff
from tests.vision.conftest import PICTURES
from tests.vision.networks import assert_within, edges, iou

Transpose = Image.Transpose
STORED = {
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}
"""How a sensor stores an upright picture that it is to be turned by this orientation: EXIF 2.3, backwards."""

SAME_PLACE_IOU = 0.9


def held(name: str, orientation: int) -> bytes:
    """A photograph as a camera stores it that was held in this way, without loss."""
    with Image.open(PICTURES / name) as upright:
        how = STORED[orientation]
        stored = upright.convert("RGB") if how is None else upright.convert("RGB").transpose(how)
    return encoded(stored, "PNG", exif=b"Exif\0\0" + tiff(orientation))


def look(operation: str, data: bytes, models: Models) -> Any:
    described = picture.inspect(data)
    upright = frame.decode(data, described.orientation)
    assert upright.shape == (described.height_px, described.width_px, 3)
    model = models.choose({"people": "objects"}.get(operation, operation))
    scene = Scene(upright, lambda: None, {}, lambda _: "")
    return Vision().run(OperationCall(operation, OPERATIONS[operation].params()), scene, model)


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize(("operation", "name"), [("faces", "astronaut.jpg"), ("objects", "person.jpg")])
def test_the_same_things_at_the_same_places(
    operation: str, name: str, orientation: int, install: Callable[..., Models]
) -> None:
    models = install("yunet", "nanodet")
    expected = look(operation, held(name, 1), models)
    data = held(name, orientation)
    upright = frame.decode(data, orientation)
    found = look(operation, data, models)
    things, as_they_are = (getattr(result, operation) for result in (found, expected))
    assert len(things) == len(as_they_are) > 0
    for thing, as_it_is in zip(things, as_they_are, strict=True):
        assert iou(edges(thing.box), edges(as_it_is.box)) >= SAME_PLACE_IOU
        assert_within(upright, thing.box)
