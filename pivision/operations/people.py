"""What `people` takes and gives."""

from typing import Annotated

import msgspec
from msgspec import Meta

from pivision.operations.geometry import Box, Score


class PeopleParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How sure to be."""

    min_score: Annotated[Score, Meta(description="People of whom the model is less sure are left out.")] = 0.5


class Person(msgspec.Struct, frozen=True):
    """One person."""

    score: Score
    box: Box


class PeopleResult(msgspec.Struct, frozen=True):
    """How many people there are and where, the surest first."""

    model: str  # what has looked: an object model, or hog where none is installed and OpenCV still has it
    count: int
    people: tuple[Person, ...]
