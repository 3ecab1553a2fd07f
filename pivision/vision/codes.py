"""Barcodes and 2-D codes, read by zxing-cpp (https://github.com/zxing-cpp/zxing-cpp)."""

import cv2
import zxingcpp

from pivision.operations.codes import Code, CodesParams, CodesResult
from pivision.operations.geometry import Point
from pivision.vision.frame import Frame


def read_codes(frame: Frame, params: CodesParams) -> CodesResult:
    """Read every code in a BGR frame (H, W, 3).

    Corners are in pixels of the frame and follow the code: its own top left comes first, however it is turned.
    Raises ValueError for a format that this zxing-cpp does not know.
    """
    formats = zxingcpp.barcode_formats_from_str(",".join(params.formats))
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    return CodesResult(tuple(_code(barcode) for barcode in zxingcpp.read_barcodes(grey, formats=formats)))


def _code(barcode: zxingcpp.Barcode) -> Code:
    position = barcode.position
    corners = (position.top_left, position.top_right, position.bottom_right, position.bottom_left)
    top_left, top_right, bottom_right, bottom_left = (Point(float(corner.x), float(corner.y)) for corner in corners)
    return Code(
        text=barcode.text,
        bytes=barcode.bytes,
        format=barcode.format.name,
        corners=(top_left, top_right, bottom_right, bottom_left),
        orientation_degrees=barcode.orientation,
    )
