"""What a picture's bytes say of themselves: format, size, orientation, and whether the file is whole.

Reads the structure and decodes nothing, so a bomb costs no more than a photograph, and a file that ends too early is
refused before a task is made of it. Libraries that read sizes from headers do not tell whether the rest is there.

Sources: JPEG ITU-T T.81 annex B; PNG W3C (third edition); WebP RFC 9649; BMP Microsoft's BITMAPINFOHEADER;
EXIF orientation CIPA DC-008, tag 0x0112.
"""

import re
import struct
import zlib
from mmap import mmap

import msgspec

from pivision.errors import ImageEmpty, ImageTruncated, ImageUnsupported

Buffer = bytes | mmap

_EXIF_ORIENTATION_TAG = 0x0112
_JPEG_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # not a stuffed zero, not a fill byte, not a restart
_JPEG_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PARTS_LIMIT = 50_000  # segments or chunks; real files have at most some thousands, and each costs a microsecond
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Picture(msgspec.Struct, frozen=True):
    """A picture's own description. Width and height are those of the upright picture."""

    format: str  # jpeg, png, webp or bmp
    width_px: int
    height_px: int
    orientation: int  # EXIF, 1 to 8; 1 is upright

    @classmethod
    def stored(cls, kind: str, width_px: int, height_px: int, orientation: int = 1) -> "Picture":
        """From the size as stored: orientations 5 to 8 swap width and height."""
        if width_px <= 0 or height_px <= 0:
            raise ImageTruncated(f"the {kind.upper()} header says {width_px} x {height_px} pixels")
        if orientation >= 5:
            width_px, height_px = height_px, width_px
        return cls(kind, width_px, height_px, orientation)


def inspect(data: Buffer) -> Picture:
    """Describe the picture in `data`.

    Raises ImageEmpty (no bytes), ImageUnsupported (no format that we read), ImageTruncated (it is not whole).
    """
    if not len(data):
        raise ImageEmpty("the image has no bytes")
    head = bytes(data[:16])
    for signature, describe in _FORMATS:
        if signature.match(head):
            try:
                return describe(data)
            except (struct.error, IndexError):
                raise ImageTruncated("the file ends within its header") from None
    raise ImageUnsupported("the bytes are no JPEG, PNG, WebP or BMP")


def _jpeg(data: Buffer) -> Picture:
    size: tuple[int, int] | None = None
    orientation = 1
    position = 2
    for _ in range(_PARTS_LIMIT):
        marker, position = _next_jpeg_marker(data, position)
        if marker == 0xD9:  # end of image
            if size is None:
                raise ImageTruncated("the JPEG has no frame")
            return Picture.stored("jpeg", *size, orientation)
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a segment
            continue
        (length,) = struct.unpack_from(">H", data, position)
        if length < 2 or position + length > len(data):
            raise ImageTruncated("the JPEG ends within a segment")
        if marker in _JPEG_FRAME_MARKERS and size is None:
            height_px, width_px = struct.unpack_from(">HH", data, position + 3)
            size = width_px, height_px
        elif marker == 0xE1 and data[position + 2 : position + 8] == b"Exif\0\0":
            orientation = _exif_orientation(bytes(data[position + 8 : position + length]))
        position += length
    raise ImageUnsupported(f"the JPEG has more than {_PARTS_LIMIT} segments")


def _next_jpeg_marker(data: Buffer, position: int) -> tuple[int, int]:
    """The next marker and where its segment begins; what stands before it is entropy-coded data or padding."""
    found = _JPEG_MARKER_IN_SCAN.search(data, position)
    if found is None:
        raise ImageTruncated("the JPEG ends without its end marker")
    return data[found.end() - 1], found.end()


def _png(data: Buffer) -> Picture:
    width_px, height_px = struct.unpack_from(">II", data, 16)
    orientation = 1
    position = len(_PNG_SIGNATURE)
    for _ in range(_PARTS_LIMIT):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise ImageTruncated("the PNG ends within a chunk")
        body = data[position + 8 : end - 4]
        (crc,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(body, zlib.crc32(kind)) != crc:
            raise ImageTruncated(f"the PNG's chunk {kind.decode('latin-1')!r} is damaged")
        if kind == b"eXIf":
            orientation = _exif_orientation(body)
        elif kind == b"IEND":
            return Picture.stored("png", width_px, height_px, orientation)
        position = end
    raise ImageUnsupported(f"the PNG has more than {_PARTS_LIMIT} chunks")


def _webp(data: Buffer) -> Picture:
    (riff_length,) = struct.unpack_from("<I", data, 4)
    if 8 + riff_length > len(data):
        raise ImageTruncated("the WebP is shorter than its header says")
    size: tuple[int, int] | None = None
    orientation = 1
    position = 12
    parts = 0
    while position + 8 <= 8 + riff_length:
        parts += 1
        if parts > _PARTS_LIMIT:
            raise ImageUnsupported(f"the WebP has more than {_PARTS_LIMIT} chunks")
        kind, length = struct.unpack_from("<4sI", data, position)
        body = position + 8
        if body + length > len(data):
            raise ImageTruncated("the WebP ends within a chunk")
        if kind == b"VP8X":
            canvas = bytes(data[body + 4 : body + 10])
            size = 1 + int.from_bytes(canvas[:3], "little"), 1 + int.from_bytes(canvas[3:], "little")
        elif kind == b"VP8 " and size is None:
            width_px, height_px = struct.unpack_from("<HH", data, body + 6)
            size = width_px & 0x3FFF, height_px & 0x3FFF
        elif kind == b"VP8L" and size is None:
            (bits,) = struct.unpack_from("<I", data, body + 1)
            size = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        elif kind == b"EXIF":
            orientation = _exif_orientation(bytes(data[body : body + length]).removeprefix(b"Exif\0\0"))
        position = body + length + length % 2
    if size is None:
        raise ImageTruncated("the WebP holds no picture")
    return Picture.stored("webp", *size, orientation)


def _bmp(data: Buffer) -> Picture:
    offset, header_length = struct.unpack_from("<II", data, 10)
    if header_length < 40:
        raise ImageUnsupported("the BMP is of the OS/2 kind, which is not read")
    width_px, height_px, _planes, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    height_px = abs(height_px)  # negative: stored top down
    if compression in (0, 3):  # rows of a known length; the run-length kinds are checked when they are decoded
        row_bytes = (width_px * bits + 31) // 32 * 4
        if offset + row_bytes * height_px > len(data):
            raise ImageTruncated("the BMP has fewer rows than its header says")
    return Picture.stored("bmp", width_px, height_px)


def _exif_orientation(exif: bytes) -> int:
    """The orientation tag of a TIFF header's first directory; 1 where there is none or it makes no sense."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, _kind, _count, value = struct.unpack_from(order + "HHIH", exif, entry)
            if tag == _EXIF_ORIENTATION_TAG:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


_FORMATS = (
    (re.compile(rb"\xff\xd8\xff"), _jpeg),
    (re.compile(re.escape(_PNG_SIGNATURE)), _png),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), _webp),
    (re.compile(rb"BM.{12}", re.DOTALL), _bmp),
)
