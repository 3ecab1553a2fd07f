"""What `faces` takes and gives."""

from typing import Annotated

import msgspec
from msgspec import Meta

from pivision.operations.geometry import Box, Point, Score


class FacesParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How sure to be, and how small a face may be."""

    min_score: Annotated[Score, Meta(description="Faces of which the model is less sure are left out.")] = 0.7
    max_side_px: Annotated[
        int,
        Meta(
            ge=64,
            le=4096,
            description="Larger pictures are looked at with this longer side: a larger one finds smaller faces "
            "and takes longer.",
        ),
    ] = 640


class Landmarks(msgspec.Struct, frozen=True):
    """Five points of a face. Right and left are the person's own."""

    right_eye: Point
    left_eye: Point
    nose: Point
    right_mouth: Point
    left_mouth: Point


class Face(msgspec.Struct, frozen=True):
    """One face."""

    box: Box
    score: Score | None  # null where the model gives none: haar
    landmarks: Landmarks | None  # null where the model gives none: haar


class FacesResult(msgspec.Struct, frozen=True):
    """Every face, the surest first; empty when there is none."""

    model: str  # what has looked: yunet, or haar where no model is installed and OpenCV still has it
    faces: tuple[Face, ...]
