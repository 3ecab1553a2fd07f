"""Barcodes and 2-D codes, read by zxing-cpp (https://github.com/zxing-cpp/zxing-cpp)."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import zxingcpp

from pivision.operations.codes import Code, CodesParams, CodesResult
from pivision.operations.geometry import Point
from pivision.vision.frame import Frame
from pivision.vision.opencv import Grey

_LINEAR = (
    "Codabar", "Code128", "Code39", "Code93", "DXFilmEdge", "DataBar", "DataBarExp", "DataBarLtd", "EAN13", "EAN8",
    "ITF", "Telepen", "UPCA", "UPCE",
)  # fmt: skip
_MATRIX = ("Aztec", "DataMatrix", "MaxiCode", "PDF417", "QRCode")  # and their variants: MicroQRCode, CompactPDF417
_Found = list[tuple[zxingcpp.Barcode, str]]
"""Barcodes with the text that people read."""


def read_codes(frame: Frame, params: CodesParams) -> CodesResult:
    """Read every code in a BGR frame (H, W, 3), each once.

    Corners are in pixels of the frame and follow the code: its own top left comes first, however it is turned.
    Raises ValueError for a format that this zxing-cpp does not know.

    zxing-cpp reads light on dark of 2-D codes only. So where no linear code was found, they are looked for in the
    negative, too, which takes another 40 in 100 of the time.
    """
    grey = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)
    found = _read(grey, params.formats)
    linear = [name for name in params.formats or _LINEAR if name in _LINEAR]
    if linear and all(_is_matrix(barcode) for barcode, _printed in found):
        found += _read(np.asarray(cv2.bitwise_not(grey), np.uint8), linear)
    return CodesResult(tuple(_once(_code(barcode, printed) for barcode, printed in found)))


def _read(grey: Grey, formats: Sequence[str]) -> _Found:
    """Text as it stands in the code, where a group separator is one character; printed, it is <GS> or ends a bracket.

    A second reading gives the printed form, where it is another: zxing-cpp gives one form at a time.
    """
    wanted = zxingcpp.barcode_formats_from_str(",".join(formats))
    exact = zxingcpp.read_barcodes(grey, formats=wanted, text_mode=zxingcpp.TextMode.Plain)
    printed: dict[tuple[str, str], str] = {}
    if any(each.content_type != zxingcpp.ContentType.Text or not each.text.isprintable() for each in exact):
        again = zxingcpp.read_barcodes(grey, formats=wanted, text_mode=zxingcpp.TextMode.HRI)
        printed = {(str(each.format), str(each.position)): each.text for each in again}
    return [(each, printed.get((str(each.format), str(each.position)), each.text)) for each in exact]


def _is_matrix(barcode: zxingcpp.Barcode) -> bool:
    return any(name in barcode.format.name for name in _MATRIX)


def _code(barcode: zxingcpp.Barcode, printed: str) -> Code:
    position = barcode.position
    corners = (position.top_left, position.top_right, position.bottom_right, position.bottom_left)
    top_left, top_right, bottom_right, bottom_left = (Point(float(corner.x), float(corner.y)) for corner in corners)
    return Code(
        text=barcode.text,
        printed=printed,
        bytes=barcode.bytes,
        format=barcode.format.name,
        corners=(top_left, top_right, bottom_right, bottom_left),
        orientation_degrees=barcode.orientation,
    )


def _once(codes: Iterable[Code]) -> list[Code]:
    """The codes without those that say the same at the same place: one symbol may be found in two scans."""
    kept: list[Code] = []
    for code in codes:
        if not any(code.bytes == other.bytes and code.format == other.format and _meet(code, other) for other in kept):
            kept.append(code)
    return kept


def _meet(one: Code, other: Code) -> bool:
    """Whether the upright rectangles around two codes have a point in common."""
    for axis in ("x", "y"):
        first, second = ([getattr(corner, axis) for corner in code.corners] for code in (one, other))
        if max(first) < min(second) or max(second) < min(first):
            return False
    return True
