"""The contract: every operation that PiVision offers, its parameters with their bounds, and its result.

The API's schemas and error messages come from these types; the worker's functions in `vision` fill them in. Coordinates
are pixels of the upright image, with the origin at its top left corner. No OpenCV and no NumPy here: the server imports
this file.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pivision.errors import InvalidJson, InvalidParameter, InvalidRequest, UnknownOperation

CodeFormat = Literal[
    "Aztec", "Codabar", "Code128", "Code39", "Code93", "DXFilmEdge", "DataBar", "DataBarExp", "DataBarLtd",
    "DataMatrix", "EAN13", "EAN8", "ITF", "MaxiCode", "MicroPDF417", "MicroQRCode", "PDF417", "QRCode", "RMQRCode",
    "Telepen", "UPCA", "UPCE",
]  # fmt: skip
Level = Annotated[int, Meta(ge=0, le=255)]
Fraction = Annotated[float, Meta(ge=0, le=1)]


class Point(msgspec.Struct, frozen=True):
    """A point of the upright image, in pixels."""

    x: float
    y: float


class CodesParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to look for."""

    formats: Annotated[
        tuple[CodeFormat, ...], Meta(max_length=32, description="Only these formats; empty: every format.")
    ] = ()


class Code(msgspec.Struct, frozen=True):
    """One code that was read."""

    text: str
    format: str  # as zxing-cpp names it, for example QRCode or EAN13
    corners: tuple[Point, Point, Point, Point]  # top left, top right, bottom right, bottom left, as the code stands
    orientation_degrees: int  # how far the code is turned clockwise, -180 to 180


class CodesResult(msgspec.Struct, frozen=True):
    """Every code in the picture; empty when there is none."""

    codes: tuple[Code, ...]


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


class Operation(msgspec.Struct, frozen=True):
    """One thing that PiVision can tell about a picture."""

    name: str
    summary: str
    params: type[msgspec.Struct]
    result: type[msgspec.Struct]


OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation("codes", "Reads every barcode and 2-D code in the picture.", CodesParams, CodesResult),
        Operation("quality", "Measures sharpness, brightness, contrast and exposure.", QualityParams, QualityResult),
    )
}


class OperationCall(msgspec.Struct, frozen=True):
    """One operation with the parameters it is to run with."""

    name: str
    params: msgspec.Struct


class _AnyCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    params: dict[str, msgspec.Raw] = {}


def parse(text: str | bytes) -> tuple[OperationCall, ...]:
    """Read operations as clients write them and as the database keeps them.

    Either names with commas (`codes,quality`) or JSON: a list whose entries are names or
    `{"name": "codes", "params": {"formats": ["QRCode"]}}`.

    Raises InvalidJson, InvalidRequest (no operation, or one named twice), UnknownOperation, InvalidParameter.
    """
    if isinstance(text, str):
        text = text.encode()
    if text.lstrip()[:1] in (b"[", b"{", b'"'):
        calls = _calls_of_json(text)
    else:
        calls = [_AnyCall(name.decode(errors="replace").strip()) for name in text.split(b",") if name.strip()]
    if not calls:
        raise InvalidRequest("`operations` is missing or empty: name at least one, for example operations=codes")
    names = [call.name for call in calls]
    if len(set(names)) < len(names):
        raise InvalidRequest("`operations` names an operation twice; the result has one entry for each operation")
    return tuple(_checked(call) for call in calls)


def _calls_of_json(text: bytes) -> list[_AnyCall]:
    try:
        entries = msgspec.json.decode(text, type=list[str | _AnyCall])
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"`operations`: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson(f"`operations`: {error}") from None
    return [_AnyCall(entry) if isinstance(entry, str) else entry for entry in entries]


def _checked(call: _AnyCall) -> OperationCall:
    operation = OPERATIONS.get(call.name)
    if operation is None:
        raise UnknownOperation(f"there is no operation {call.name!r}; there are: {', '.join(OPERATIONS)}")
    try:
        params = msgspec.json.decode(msgspec.json.encode(call.params), type=operation.params)
    except msgspec.ValidationError as error:
        raise InvalidParameter(f"operation {call.name!r}: {error}") from None
    return OperationCall(call.name, params)
