"""What results are made of. Coordinates are pixels of the upright image, with the origin at its top left corner."""

from typing import Annotated

import msgspec
from msgspec import Meta

Level = Annotated[int, Meta(ge=0, le=255)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Score = Annotated[float, Meta(ge=0, le=1)]
"""How sure a detector is: 0 not at all, 1 entirely. Scores of different models do not compare."""


class Point(msgspec.Struct, frozen=True):
    """A point of the upright image, in pixels."""

    x: float
    y: float


Corners = tuple[Point, Point, Point, Point]
"""Top left, top right, bottom right, bottom left of the thing itself, however it is turned in the picture."""


class Box(msgspec.Struct, frozen=True):
    """A rectangle within the upright image, in pixels: its top left corner and its size, which is never zero."""

    x: float
    y: float
    width: float
    height: float


class Detection(msgspec.Struct, frozen=True):
    """One thing that a detector has found."""

    label: str
    score: Score
    box: Box
