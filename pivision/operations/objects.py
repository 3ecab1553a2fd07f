"""What `objects` takes and gives."""

from typing import Annotated

import msgspec
from msgspec import Meta

from pivision.operations.geometry import Detection, Score

ModelName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Label = Annotated[str, Meta(min_length=1, max_length=64)]


class ObjectsParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to look for, with which model, and how sure to be."""

    model: Annotated[
        ModelName | None,
        Meta(description="The name of an installed model; null: the first of the catalogue that is installed."),
    ] = None
    labels: Annotated[
        tuple[Label, ...], Meta(max_length=100, description="Only things with these labels; empty: everything.")
    ] = ()
    min_score: Annotated[Score, Meta(description="Things of which the model is less sure are left out.")] = 0.4


class ObjectsResult(msgspec.Struct, frozen=True):
    """Everything that was found, the surest first; empty when there is nothing."""

    model: str
    objects: tuple[Detection, ...]
