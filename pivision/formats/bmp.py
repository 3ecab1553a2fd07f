"""BMP (Microsoft's BITMAPINFOHEADER, BITMAPV4HEADER and BITMAPV5HEADER)."""

import re
import struct
from typing import NamedTuple

from pivision.errors import ImageTruncated, ImageUnsupported
from pivision.formats import Buffer, Picture

SIGNATURE = re.compile(rb"BM.{12}", re.DOTALL)

_SIDE_LIMIT_PX = 1 << 20  # CV_IO_MAX_IMAGE_WIDTH of OpenCV
_FILE_HEADER_BYTES = 14
_HEADERS_BYTES = (40, 52, 56, 108, 124)
_OS2_HEADERS_BYTES = (12, 16, 64)
_RGB, _RLE8, _RLE4, _BITFIELDS, _JPEG, _PNG, _ALPHA_BITFIELDS = range(7)
_DEPTHS = {
    _RGB: (1, 4, 8, 16, 24, 32),
    _RLE8: (8,),
    _RLE4: (4,),
    _BITFIELDS: (16, 32),
    _ALPHA_BITFIELDS: (16, 32),
}  # by compression
_DEFAULT_MASKS = {16: (0x7C00, 0x03E0, 0x001F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}


class Bitfields(NamedTuple):
    """How pixels of 16 or 32 bits lie in a file."""

    width_px: int
    height_px: int
    bits: int
    is_top_down: bool
    row_bytes: int
    offset_bytes: int  # of the first row
    masks: tuple[int, int, int, int]  # red, green, blue, alpha; 0: there is none


def describe(data: Buffer) -> Picture:
    """Describe a BMP. Raises ImageTruncated, ImageUnsupported, struct.error."""
    offset, header_bytes = struct.unpack_from("<II", data, 10)
    if header_bytes in _OS2_HEADERS_BYTES:
        raise ImageUnsupported("the BMP is of the OS/2 kind, which is not read")
    if header_bytes not in _HEADERS_BYTES:
        raise ImageUnsupported(f"the BMP has a header of {header_bytes} bytes, which no kind has")
    width_px, height_px, _planes, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    if compression in (_JPEG, _PNG):
        raise ImageUnsupported("the BMP is a wrapper around a JPEG or PNG, which is not read; send what is inside")
    if bits not in _DEPTHS.get(compression, ()):
        raise ImageUnsupported(
            f"the BMP has {bits} bits for each pixel and compression {compression}, which is not read"
        )
    picture = Picture.stored("bmp", (width_px, abs(height_px)), _SIDE_LIMIT_PX)  # negative: stored top down
    if compression not in (_RLE8, _RLE4):  # the run-length kinds are checked when they are decoded
        row_bytes = (width_px * bits + 31) // 32 * 4
        if offset + row_bytes * abs(height_px) > len(data):
            raise ImageTruncated("the BMP has fewer rows than its header says")
    elif height_px < 0:
        raise ImageUnsupported("the BMP is run-length encoded and top down, which is not read")
    bitfields(data)  # refuses masks that make no sense
    return picture


def bitfields(data: Buffer) -> Bitfields | None:
    """Return how the pixels lie, if each has 16 or 32 bits. Raises ImageUnsupported for masks with gaps."""
    offset, header_bytes, width_px, height_px, _planes, bits, compression = struct.unpack_from("<IIiiHHI", data, 10)
    if bits not in _DEFAULT_MASKS:
        return None
    masks = _DEFAULT_MASKS[bits]
    if compression in (_BITFIELDS, _ALPHA_BITFIELDS):  # behind the shortest header, or within the longer ones
        red, green, blue, alpha = struct.unpack_from("<IIII", data, _FILE_HEADER_BYTES + 40)
        masks = red, green, blue, alpha if compression == _ALPHA_BITFIELDS or header_bytes >= 56 else 0
        if not all(map(_is_run, masks)) or max(masks) >> bits or not any(masks[:3]):
            raise ImageUnsupported(
                f"the BMP has the masks {', '.join(f'{mask:#x}' for mask in masks)}, which are not read"
            )
    row_bytes = (width_px * bits + 31) // 32 * 4
    return Bitfields(width_px, abs(height_px), bits, height_px < 0, row_bytes, offset, masks)


def _is_run(mask: int) -> bool:
    """Whether the bits of a mask are neighbours; there may be none."""
    lowest = mask & -mask
    return mask & (mask + lowest) == 0
