"""How DeepStack and CodeProject.AI put questions and answers, so that their clients understand ours.

DeepStack: https://docs.deepstack.cc/object-detection/index.html;
CodeProject.AI: https://codeproject.github.io/codeproject.ai/api/api_reference.html.
Clients look at `success` first, then at `predictions`; corners are whole pixels within the picture.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pivision.api.endpoint import Bytes
from pivision.errors import InvalidParameter, PiVisionError
from pivision.operations.faces import Face
from pivision.operations.geometry import Box, Detection
from pivision.task import Image

MIN_CONFIDENCE = 0.4
"""Where a client sends none; as in both originals."""

Command = Literal["detect", "custom", "list-custom"]

_PREFIX = ["v1", "vision"]
_STATUSES = {415: 400, 422: 400}  # these clients know 400 for whatever is wrong with a picture or a field
_NO_SCORE = 1.0  # of faces that haar has found: what tells no score must pass every client's threshold, or none would


class _Seen(msgspec.Struct):
    milliseconds: float
    objects: tuple[Detection, ...] = ()
    faces: tuple[Face, ...] = ()


_RESULT = msgspec.json.Decoder(dict[str, _Seen])


class Prediction(msgspec.Struct, frozen=True):
    """One thing that was found."""

    label: str
    confidence: float
    x_min: int
    y_min: int
    x_max: int
    y_max: int


class Found(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was found in a picture."""

    success: Literal[True] = True
    code: Literal[200] = 200
    command: Command
    message: str
    count: int
    predictions: list[Prediction]
    inference_ms: int  # of the operation alone
    process_ms: int  # from when the task was stored until it had finished
    analysis_round_trip_ms: int  # of the whole request
    duration: int = 0
    module_id: str = "PiVision"
    module_name: str = "PiVision"
    execution_provider: str = "CPU"


class CustomModels(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The models that can be asked for by name."""

    success: Literal[True] = True
    code: Literal[200] = 200
    command: Command = "list-custom"
    models: list[str]
    module_id: str = "PiVision"
    module_name: str = "PiVision"
    execution_provider: str = "CPU"


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An error, as these clients expect it."""

    success: Literal[False] = False
    error: str
    code: int
    duration: int = 0


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """The form of these clients."""

    image: Bytes
    min_confidence: Annotated[str, Meta(description="A number from 0 to 1; 0.4 if it is left out.")] = ""
    api_key: Annotated[str, Meta(description="A token, unless the header brings it.")] = ""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """The form that needs no picture."""

    api_key: Annotated[str, Meta(description="A token, unless the header brings it.")] = ""


def is_spoken_at(path: str) -> bool:
    """Whether the protocol is spoken at this address: /v1/vision and everything below."""
    return path.lstrip("/").split("/")[:2] == _PREFIX


def min_score(text: str) -> float:
    """The field `min_confidence`; empty: the default. Raises InvalidParameter."""
    if not text.strip():
        return MIN_CONFIDENCE
    try:
        score = float(text)
    except ValueError:
        score = -1
    if not 0 <= score <= 1:
        raise InvalidParameter(f"min_confidence must be a number from 0 to 1, not {text[:20]!r}")
    return score


def answer(
    result: msgspec.Raw, image: Image, command: Command, process_seconds: float, round_trip_seconds: float
) -> bytes:
    """What the one operation of a task has found in its picture, the surest first."""
    (seen,) = _RESULT.decode(result).values()
    predictions = [_prediction(each.label, each.score, each.box, image) for each in seen.objects]
    predictions += [
        _prediction("face", _NO_SCORE if each.score is None else each.score, each.box, image) for each in seen.faces
    ]
    labels = dict.fromkeys(each.label for each in predictions)
    return msgspec.json.encode(
        Found(
            command=command,
            message=f"Found {', '.join(labels)}" if labels else "Found nothing",
            count=len(predictions),
            predictions=predictions,
            inference_ms=round(seen.milliseconds),
            process_ms=round(process_seconds * 1000),
            analysis_round_trip_ms=round(round_trip_seconds * 1000),
        )
    )


def models(names: list[str]) -> bytes:
    """The answer to the question for custom models."""
    return msgspec.json.encode(CustomModels(models=names))


def status_for(status: int) -> int:
    """The HTTP status that these clients expect in the place of ours."""
    return _STATUSES.get(status, status)


def refusal(error: PiVisionError, status: int) -> bytes:
    """An error, answered with `status`."""
    return msgspec.json.encode(Refusal(error=str(error), code=status))


def _prediction(label: str, confidence: float, box: Box, image: Image) -> Prediction:
    return Prediction(
        label=label,
        confidence=confidence,
        x_min=_within(box.x, image.width_px),
        y_min=_within(box.y, image.height_px),
        x_max=_within(box.x + box.width, image.width_px),
        y_max=_within(box.y + box.height, image.height_px),
    )


def _within(pixels: float, side_px: int) -> int:
    return max(0, min(side_px, round(pixels)))
