"""WebP (RFC 9649): size, orientation, transparency; of an animation, its first image alone."""

import re
import struct
from collections.abc import Iterator

from pivision.errors import ImageTruncated, ImageUnsupported
from pivision.formats import PARTS_LIMIT, Buffer, Picture, exif_orientation

SIGNATURE = re.compile(rb"RIFF.{4}WEBP", re.DOTALL)

_SIDE_LIMIT_PX = 16_383  # of VP8 and VP8L
_HEADER_BYTES = 12
_FRAME_HEADER_BYTES = 16  # of an image within an animation
_HAS_ALPHA = 0x10  # in the flags of VP8X


def describe(data: Buffer) -> Picture:
    """Describe a WebP. Raises ImageTruncated, ImageUnsupported, struct.error, IndexError."""
    end = _end(data)
    if end > len(data):
        raise ImageTruncated("the WebP is shorter than its header says")
    size: tuple[int, int] | None = None
    orientation = 1
    has_pixels = False
    for kind, body, length in _chunks(data, _HEADER_BYTES, end):
        if kind == b"VP8X":
            size = _plus_one(data, body + 4), _plus_one(data, body + 7)
        elif kind == b"VP8 ":
            width_px, height_px = struct.unpack_from("<HH", data, body + 6)
            size = size or (width_px & 0x3FFF, height_px & 0x3FFF)
        elif kind == b"VP8L":
            (bits,) = struct.unpack_from("<I", data, body + 1)
            size = size or (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
        elif kind == b"EXIF" and orientation == 1:
            orientation = exif_orientation(bytes(data[body : body + length]).removeprefix(b"Exif\0\0"))
        has_pixels |= kind in (b"VP8 ", b"VP8L", b"ANMF")
    if size is None or not has_pixels:
        raise ImageTruncated("the WebP holds no picture")
    return Picture.stored("webp", size, _SIDE_LIMIT_PX, orientation)


def essential(data: bytes) -> bytes:
    """Return what a decoder needs: of an animation, the first image, where it covers the whole canvas.

    OpenCV before 4.11 reads no animation.
    """
    canvas = b""
    for kind, body, length in _chunks(data, _HEADER_BYTES, _end(data)):
        if kind == b"VP8X":
            canvas = data[body + 4 : body + 10]
        elif kind == b"ANMF":
            place, size = data[body : body + 6], data[body + 6 : body + 12]
            return _still(data, body, length, canvas) if not any(place) and size == canvas else data
    return data


def has_alpha(data: bytes) -> bool:
    """Whether it has an alpha channel."""
    for kind, body, _length in _chunks(data, _HEADER_BYTES, _end(data)):
        if kind == b"VP8X":
            return bool(data[body] & _HAS_ALPHA)
        if kind == b"VP8L":
            return bool(data[body + 4] & _HAS_ALPHA)
        if kind == b"VP8 ":
            return False
    return False


def _still(data: bytes, body: int, length: int, canvas: bytes) -> bytes:
    parts = [
        (kind, data[start : start + size])
        for kind, start, size in _chunks(data, body + _FRAME_HEADER_BYTES, body + length)
        if kind in (b"ALPH", b"VP8 ", b"VP8L")
    ]
    if len(parts) > 1:
        parts.insert(0, (b"VP8X", bytes((_HAS_ALPHA, 0, 0, 0)) + canvas))
    content = b"WEBP" + b"".join(
        struct.pack("<4sI", kind, len(part)) + part + bytes(len(part) % 2) for kind, part in parts
    )
    return struct.pack("<4sI", b"RIFF", len(content)) + content


def _chunks(data: Buffer, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The chunks between two positions: type, where the body begins, how long it is."""
    for _ in range(PARTS_LIMIT):
        if position + 8 > end:
            return
        kind, length = struct.unpack_from("<4sI", data, position)
        body = position + 8
        if body + length > len(data):
            raise ImageTruncated("the WebP ends within a chunk")
        yield kind, body, length
        position = body + length + length % 2
    raise ImageUnsupported(f"the WebP has more than {PARTS_LIMIT} chunks")


def _end(data: Buffer) -> int:
    return 8 + int.from_bytes(bytes(data[4:8]), "little")


def _plus_one(data: Buffer, position: int) -> int:
    return 1 + int.from_bytes(bytes(data[position : position + 3]), "little")
