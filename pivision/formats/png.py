"""PNG (W3C, third edition): critical chunks must be sound, ancillary ones are of no matter to a decoder.

What follows the pixels in IDAT, and what texts and profiles hold, is compressed, too: 4 MB of texts inflate to 4 GB.
A decoder gets the critical chunks and transparency alone.
"""

import contextlib
import re
import struct
import zlib
from collections.abc import Iterator

from pivision.errors import ImageTooComplex, ImageTruncated, ImageUnsupported
from pivision.formats import PARTS_LIMIT, Buffer, Picture, exif_orientation

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIGNATURE = re.compile(re.escape(_SIGNATURE))

_SIDE_LIMIT_PX = 1_000_000  # PNG_USER_WIDTH_MAX of libpng
_END = b"\0\0\0\0IEND\xaeB`\x82"
_NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_ADAM7_PASSES = 2.0  # measured: seven partial ones take twice as long as one
_INFLATED_BYTES = 1 << 18  # at once
_UNCHECKED_BYTES = 1 << 20  # of IDAT: at most 1,032 times as many are inflated, in a second or two


def describe(data: Buffer) -> Picture:
    """Describe a PNG. Raises ImageTruncated, ImageUnsupported, struct.error."""
    width_px, height_px, depth, colour, _compression, _filter, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    orientation = 1
    has_pixels = has_end = False
    for kind, body, is_sound in _chunks(data):
        if kind in _CRITICAL and not is_sound:
            raise ImageTruncated(f"the PNG's chunk {kind.decode()!r} is damaged")
        if kind == b"eXIf" and is_sound and orientation == 1:
            orientation = exif_orientation(bytes(body))
        elif kind[0] & 0x20 == 0 and kind not in _CRITICAL:
            raise ImageUnsupported(f"the PNG has a critical chunk {kind.decode('latin-1')!r}, which is not read")
        has_pixels |= kind == b"IDAT"
        has_end |= kind == b"IEND"
    if depth not in _DEPTHS.get(colour, ()):
        raise ImageTruncated(f"the PNG header says colour type {colour} with {depth} bits, which does not exist")
    picture = Picture.stored(
        "png", (width_px, height_px), _SIDE_LIMIT_PX, orientation, _ADAM7_PASSES if interlace else 1.0
    )
    if not has_pixels:
        raise ImageTruncated("the PNG has no IDAT chunk")
    if not has_end and not _has_all_rows(data):
        raise ImageTruncated("the PNG ends before its last row")
    return picture


def essential(data: bytes) -> bytes:
    """Return what a decoder needs: the chunks of the pixels, with an end.

    Raises ImageTooComplex where IDAT goes on for long after the last row.
    """
    kept = [_SIGNATURE]
    pixels_bytes = 0
    for kind, body, is_sound in _chunks(data):
        if kind in _NEEDED and (is_sound or kind in _CRITICAL):
            kept += (struct.pack(">I4s", len(body), kind), body, struct.pack(">I", zlib.crc32(body, zlib.crc32(kind))))
            pixels_bytes += len(body) if kind == b"IDAT" else 0
    if pixels_bytes > _UNCHECKED_BYTES and _inflated_bytes(data, 2 * _rows_bytes(data)) >= 2 * _rows_bytes(data):
        raise ImageTooComplex(f"the PNG holds more than twice the {_rows_bytes(data)} bytes of its rows")
    return b"".join((*kept, _END))


def transparent_grey(data: bytes) -> int | None:
    """Return the grey level that a PNG without an alpha channel declares as transparent, as it is decoded."""
    depth, colour = data[24:26]
    for kind, body, is_sound in _chunks(data):
        if kind == b"tRNS" and is_sound and colour == 0 and len(body) >= 2:
            level = int.from_bytes(body[:2], "big") & ((1 << depth) - 1)
            return level if depth == 16 else level * 255 // ((1 << depth) - 1)
    return None


def has_alpha(data: bytes) -> bool:
    """Whether it has an alpha channel, or declares colours as transparent."""
    return data[25] in (4, 6) or (data[25] in (2, 3) and any(kind == b"tRNS" for kind, *_ in _chunks(data)))


def _chunks(data: Buffer) -> Iterator[tuple[bytes, bytes, bool]]:
    """The chunks up to IEND: type, body, and whether the checksum is right. A file may end between two of them."""
    position = len(_SIGNATURE)
    for _ in range(PARTS_LIMIT):
        if position + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if not kind.isalpha() and position > len(_SIGNATURE):
            return  # no chunk: padding, where IEND was
        if end > len(data):
            if kind == b"IEND":
                return
            raise ImageTruncated("the PNG ends within a chunk")
        body = data[position + 8 : end - 4]
        (crc,) = struct.unpack_from(">I", data, end - 4)
        yield kind, body, zlib.crc32(body, zlib.crc32(kind)) == crc
        if kind == b"IEND":
            return
        position = end
    raise ImageUnsupported(f"the PNG has more than {PARTS_LIMIT} chunks")


def _has_all_rows(data: Buffer) -> bool:
    return _inflated_bytes(data, _rows_bytes(data)) >= _rows_bytes(data)


def _inflated_bytes(data: Buffer, limit_bytes: int) -> int:
    """How much IDAT holds; what is beyond the limit, or behind a fault, is not looked at."""
    inflated = 0
    inflater = zlib.decompressobj()
    with contextlib.suppress(zlib.error):
        for kind, body, _is_sound in _chunks(data):
            for start in range(0, len(body) if kind == b"IDAT" else 0, _INFLATED_BYTES):
                piece = body[start : start + _INFLATED_BYTES]
                while not inflater.eof and inflated < limit_bytes:
                    found = len(inflater.decompress(piece, _INFLATED_BYTES))
                    inflated += found
                    piece = inflater.unconsumed_tail
                    if not piece and found < _INFLATED_BYTES:
                        break
    return inflated


def _rows_bytes(data: Buffer) -> int:
    """The bytes of all rows, each with its filter: of seven smaller images where it is interlaced."""
    width_px, height_px, depth, colour, _, _, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    passes = _ADAM7 if interlace else ((0, 0, 1, 1),)
    return sum(
        rows * (1 + (columns * depth * _CHANNELS[colour] + 7) // 8)
        for left, top, across, down in passes
        if (columns := -(-(width_px - left) // across)) > 0 and (rows := -(-(height_px - top) // down)) > 0
    )
