"""The image formats: what the bytes of each say of themselves, and what of them a decoder needs.

One module for each format. They read the structure and decode nothing: the server imports them.
"""

import struct
from mmap import mmap

import msgspec

from pivision.errors import ImageTruncated, ImageUnsupported

Buffer = bytes | mmap

PARTS_LIMIT = 50_000
"""Segments or chunks: real files have at most some thousands, and each costs a microsecond."""

_EXIF_ORIENTATION_TAG = 0x0112


class Picture(msgspec.Struct, frozen=True):
    """An image's own description. Width and height are those of the upright image."""

    format: str  # jpeg, png, webp or bmp
    width_px: int
    height_px: int
    orientation: int  # EXIF, 1 to 8; 1 is upright
    passes: float = 1.0  # how often a decoder goes over all of its pixels
    warnings: tuple[str, ...] = ()  # what is missing, though the image can be decoded

    @classmethod
    def stored(
        cls, kind: str, size: tuple[int, int], limit_px: int, orientation: int = 1, passes: float = 1.0
    ) -> "Picture":
        """Describe by the size as stored: orientations 5 to 8 swap width and height.

        Raises ImageTruncated where a side is 0, ImageUnsupported where one is longer than what decoders take.
        """
        width_px, height_px = size
        if width_px <= 0 or height_px <= 0:
            raise ImageTruncated(f"the {kind.upper()} header says {width_px} x {height_px} pixels")
        if max(size) > limit_px:
            raise ImageUnsupported(
                f"the image has {width_px} x {height_px} pixels; a side of a {kind.upper()} has at most {limit_px}"
            )
        if orientation >= 5:
            width_px, height_px = height_px, width_px
        return cls(kind, width_px, height_px, orientation, passes)


def exif_orientation(exif: bytes) -> int:
    """Return the orientation tag of a TIFF header's first directory; 1 where there is none or it makes no sense.

    CIPA DC-008, tag 0x0112.
    """
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
