"""What `annotate` takes and gives."""

from typing import Annotated

import msgspec
from msgspec import Meta


class AnnotateParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the JPEG is to be like."""

    jpeg_quality: Annotated[int, Meta(ge=1, le=100, description="1: small; 100: as good as the picture.")] = 85
    max_side_px: Annotated[
        int, Meta(ge=64, le=65500, description="Larger pictures are scaled down to this longer side.")
    ] = 1920


class AnnotateResult(msgspec.Struct, frozen=True):
    """The picture with what the task's other operations have found drawn on it; GET /v1/tasks/ID/annotated sends it."""

    sha256: str  # of the JPEG
    width_px: int
    height_px: int
    size_bytes: int
