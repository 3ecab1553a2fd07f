"""What `codes` takes and gives."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pivision.operations.geometry import Corners

CodeFormat = Literal[
    "Aztec", "Codabar", "Code128", "Code39", "Code93", "DXFilmEdge", "DataBar", "DataBarExp", "DataBarLtd",
    "DataMatrix", "EAN13", "EAN8", "ITF", "MaxiCode", "MicroPDF417", "MicroQRCode", "PDF417", "QRCode", "RMQRCode",
    "Telepen", "UPCA", "UPCE",
]  # fmt: skip


class CodesParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to look for."""

    formats: Annotated[
        tuple[CodeFormat, ...], Meta(max_length=32, description="Only these formats; empty: every format.")
    ] = ()


class Code(msgspec.Struct, frozen=True):
    """One code that was read."""

    text: str  # as the code holds it: a group separator of GS1 is U+001D
    bytes: bytes  # what the code holds, before it was taken for text; base64 in JSON
    format: str  # as zxing-cpp names it, for example QRCode or EAN13
    corners: Corners
    orientation_degrees: int  # how far the code is turned clockwise, -180 to 180
    printed: str = ""  # as people read it: "(01)04012345678901(10)A1", control characters by name, as <GS>


class CodesResult(msgspec.Struct, frozen=True):
    """Every code in the picture; empty when there is none."""

    codes: tuple[Code, ...]
