"""The contract: every operation that PiVision offers, its parameters with their bounds, and its result.

The API's schemas and error messages come from these types; the worker's functions in `vision` fill them in. Coordinates
are pixels of the upright image, with the origin at its top left corner. No OpenCV and no NumPy here: the server imports
this.
"""

import re
from typing import Any

import msgspec

from pivision import json_names, suggestion
from pivision.errors import InvalidJson, InvalidParameter, InvalidRequest, UnknownOperation
from pivision.operations.annotate import AnnotateParams, AnnotateResult
from pivision.operations.codes import CodesParams, CodesResult
from pivision.operations.faces import FacesParams, FacesResult
from pivision.operations.markers import MarkersParams, MarkersResult
from pivision.operations.motion import MotionParams, MotionResult
from pivision.operations.objects import ObjectsParams, ObjectsResult
from pivision.operations.people import PeopleParams, PeopleResult
from pivision.operations.quality import QualityParams, QualityResult
from pivision.operations.text import TextParams, TextResult


class Operation(msgspec.Struct, frozen=True):
    """One thing that PiVision can tell about a picture."""

    name: str
    summary: str
    params: type[msgspec.Struct]
    result: type[msgspec.Struct]


OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation("codes", "Reads every barcode and 2-D code.", CodesParams, CodesResult),
        Operation("faces", "Finds faces, with eyes, nose and mouth.", FacesParams, FacesResult),
        Operation(
            "objects", "Finds things of everyday life, or those of a model of your own.", ObjectsParams, ObjectsResult
        ),
        Operation("people", "Counts people and says where they are.", PeopleParams, PeopleResult),
        Operation(
            "markers", "Finds ArUco and AprilTag markers, and where they are in space.", MarkersParams, MarkersResult
        ),
        Operation(
            "motion",
            "Tells what has changed since the source's picture before.",
            MotionParams,
            MotionResult,
        ),
        Operation(
            "quality", "Measures sharpness and exposure; tells a covered or frozen lens.", QualityParams, QualityResult
        ),
        Operation("text", "Reads printed text.", TextParams, TextResult),
        Operation(
            "annotate", "Draws what the others have found on the picture, as a JPEG.", AnnotateParams, AnnotateResult
        ),
    )
}


class OperationCall(msgspec.Struct, frozen=True):
    """One operation with the parameters it is to run with."""

    name: str
    params: msgspec.Struct


class _AnyCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    params: dict[str, msgspec.Raw] = {}


def parse(*texts: str | bytes) -> tuple[OperationCall, ...]:
    """Read operations as clients write them, in one text or in several, and as the database keeps them.

    Each text has either names with commas (`codes,quality`) or JSON: a list whose entries are names or
    `{"name": "codes", "params": {"formats": ["QRCode"]}}`.

    Raises InvalidJson, InvalidRequest (no operation, or one named twice), UnknownOperation, InvalidParameter.
    """
    calls = [call for text in texts for call in _calls(text.encode() if isinstance(text, str) else text)]
    if not calls:
        raise InvalidRequest(f"`operations` is missing or empty: name at least one of {', '.join(OPERATIONS)}")
    names = [call.name for call in calls]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest(f"`operations` names {twice[:40]!r} twice; the result has one entry for each operation")
    if names == ["annotate"]:
        raise InvalidRequest("`annotate` draws what other operations find: name at least one of them, too")
    return tuple(_checked(call) for call in calls)


def no_such(name: str) -> str:
    """Return what to say of a name that no operation has."""
    hint = suggestion.for_name(name, OPERATIONS)
    return f"there is no operation {name[:80]!r}; there are: {', '.join(OPERATIONS)}{hint}"


def require_source(calls: tuple[OperationCall, ...], source: str | None) -> None:
    """Raise InvalidRequest where an operation compares with the picture before, and there is no source to have one."""
    if source is None and any(call.name == "motion" for call in calls):
        raise InvalidRequest(
            "`motion` compares with the picture before from the same `source`: name one, as source=door"
        )


def _calls(text: bytes) -> list[_AnyCall]:
    if text.lstrip()[:1] in (b"[", b"{", b'"'):
        return _calls_of_json(text)
    return [_AnyCall(name.decode(errors="replace").strip()) for name in text.split(b",") if name.strip()]


def _calls_of_json(text: bytes) -> list[_AnyCall]:
    try:
        entries = msgspec.json.decode(text, type=list[str | _AnyCall])
        json_names.require_unique(text, "`operations`")
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"`operations`: {error}; an entry is a name, or has `name` and `params`") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson(f"`operations`: {error}") from None
    return [_AnyCall(entry) if isinstance(entry, str) else entry for entry in entries]


def _checked(call: _AnyCall) -> OperationCall:
    operation = OPERATIONS.get(call.name)
    if operation is None:
        raise UnknownOperation(no_such(call.name))
    known = [field.encode_name for field in msgspec.structs.fields(operation.params)]
    for name in call.params:
        if name not in known:
            there = f"there are: {', '.join(known)}" if known else "there is none"
            hint = suggestion.for_name(name, known)
            raise InvalidParameter(f"operation {call.name!r} has no parameter {name[:80]!r}; {there}{hint}")
    try:
        params = msgspec.json.decode(msgspec.json.encode(call.params), type=operation.params)
    except msgspec.ValidationError as error:
        raise InvalidParameter(f"operation {call.name!r}: {error}{_choice(operation, str(error))}") from None
    return OperationCall(call.name, params)


def _choice(operation: Operation, complaint: str) -> str:
    """Return what can be chosen from, behind a complaint of msgspec about a word that is none of these."""
    at = re.search(r"^Invalid enum value.* at `\$\.(\w+)", complaint)
    if not at:
        return ""
    schema = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(operation.params)))
    words: list[str] = []

    def collect(each: Any) -> None:
        for value in each.values() if isinstance(each, dict) else each:
            if isinstance(value, dict | list):
                collect(value)
            elif isinstance(value, str) and value.startswith("#/$defs/"):
                collect(schema["$defs"][value.removeprefix("#/$defs/")])
        if isinstance(each, dict):
            words.extend(map(str, each.get("enum", ())))

    collect(schema["$defs"][operation.params.__name__]["properties"][at[1]])
    return f"; it is one of {', '.join(words)}"
