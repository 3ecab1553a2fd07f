"""What `quality` takes and gives."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pivision.operations.geometry import Fraction, Level


class QualityParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where shadows and highlights begin."""

    shadow_level: Annotated[Level, Meta(description="Grey levels up to this one count as under-exposed.")] = 10
    highlight_level: Annotated[Level, Meta(description="Grey levels from this one on count as over-exposed.")] = 245


class Exposure(msgspec.Struct, frozen=True):
    """How much of the picture is lost in shadows and highlights."""

    underexposed: Fraction
    overexposed: Fraction
    verdict: Literal["good", "dark", "bright", "high-contrast"]


class QualityResult(msgspec.Struct, frozen=True):
    """How good the picture is, whatever is on it."""

    sharpness: Annotated[float, Meta(ge=0)]  # variance of the Laplacian; below about 100 most pictures look blurred
    brightness: Fraction  # mean grey level
    contrast: Fraction  # standard deviation of the grey levels, 1 is half black and half white
    exposure: Exposure
    is_covered: bool  # a cap or a hand before the lens; not a clear sky, snow, or a night with a light in it
    is_frozen: bool | None  # the same picture again, which no camera takes; null without one before from this source
