"""What `motion` takes and gives."""

from typing import Annotated

import msgspec
from msgspec import Meta

from pivision.operations.geometry import Box, Fraction, Score


class MotionParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What counts as motion."""

    threshold_levels: Annotated[
        int, Meta(ge=1, le=255, description="A pixel has changed when it differs by more grey levels than this.")
    ] = 25
    min_area: Annotated[
        Fraction, Meta(description="Changed regions smaller than this part of the picture are left out.")
    ] = 0.001


class MotionResult(msgspec.Struct, frozen=True):
    """What has changed since the picture before from the same source."""

    is_compared: bool  # false for the first picture of a source, and where the one before is gone; nothing moves then
    score: Score  # how surely something moved
    changed_area: Fraction  # the part of the picture in which something moved
    boxes: tuple[Box, ...]  # around each changed region, the largest first
