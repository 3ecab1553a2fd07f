"""What `text` takes and gives."""

from typing import Annotated

import msgspec
from msgspec import Meta

from pivision.operations.geometry import Corners, Score


class TextParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How sure to be."""

    min_score: Annotated[Score, Meta(description="Lines of which the model is less sure are left out.")] = 0.5


class TextLine(msgspec.Struct, frozen=True):
    """One line of text."""

    text: str
    score: Score
    corners: Corners


class TextResult(msgspec.Struct, frozen=True):
    """Every line, from top to bottom; empty when there is none."""

    text: str  # all lines, with line breaks between them
    lines: tuple[TextLine, ...]
