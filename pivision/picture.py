"""What an image's bytes say of themselves: format, size, orientation, and whether the file is whole.

Reads the structure and decodes nothing, so a bomb costs no more than a photograph, and a file that ends too early is
refused before a task is made of it. Libraries that read sizes from headers do not tell whether the rest is there.
"""

import struct

from pivision.errors import ImageEmpty, ImageTooComplex, ImageTruncated, ImageUnsupported
from pivision.formats import Buffer, Picture, bmp, foreign, jpeg, png, webp

__all__ = [
    "DECODED_PIXELS_PER_SECOND",
    "Picture",
    "essential",
    "has_alpha",
    "inspect",
    "require_decodable_within",
    "transparent_grey",
]

DECODED_PIXELS_PER_SECOND = 100_000_000
"""Pixels times passes that the slowest machine decodes in a second, with as much time again for the operations.

Measured on an x86-64 core: 0.2 to 1 ns for a pixel of an empty progressive scan. A Raspberry Pi 3 needs five times as
long, and half of the deadline is left. What is dense takes longer, but has as many bytes, which max_upload_bytes
bounds: 30 ns each.
"""

_FORMATS = (
    (jpeg.SIGNATURE, jpeg.describe),
    (png.SIGNATURE, png.describe),
    (webp.SIGNATURE, webp.describe),
    (bmp.SIGNATURE, bmp.describe),
)
_LEAST_BYTES = 64  # OpenCV takes no file with fewer bytes than a WebP's header may have for a WebP


def inspect(data: Buffer) -> Picture:
    """Describe the image in `data`.

    Raises ImageEmpty (no bytes), ImageUnsupported (no format that we read), ImageTruncated (it is not whole).
    """
    if not len(data):
        raise ImageEmpty("the image has no bytes")
    head = bytes(data[: foreign.HEAD_BYTES])
    known = foreign.name(head)
    for signature, describe in _FORMATS:
        if known is None and signature.match(head):
            try:
                return describe(data)
            except (struct.error, IndexError, ValueError):
                raise ImageTruncated("the file ends within its header") from None
    what = f"the image is in the format {known}, which is not read" if known else "the bytes are in no known format"
    raise ImageUnsupported(f"{what}; JPEG, PNG, WebP and BMP are")


def require_decodable_within(picture: Picture, deadline_seconds: float) -> None:
    """Raise ImageTooComplex where decoding would take longer than half of the deadline on a slow machine."""
    decoded_px = round(picture.width_px * picture.height_px * picture.passes)
    if decoded_px > (limit_px := round(DECODED_PIXELS_PER_SECOND * deadline_seconds)):
        raise ImageTooComplex(
            f"{picture.width_px} x {picture.height_px} pixels in {picture.passes:.0f} passes are {decoded_px}; at most "
            f"{limit_px} are decoded within {deadline_seconds:g} s (task_deadline_seconds)"
        )


def essential(data: bytes) -> bytes:
    """Return what a decoder needs of an image that `inspect` has described, without what could mislead it.

    Raises ImageTooComplex.
    """
    for signature, reduced in (
        (jpeg.SIGNATURE, jpeg.essential),
        (png.SIGNATURE, png.essential),
        (webp.SIGNATURE, webp.essential),
    ):
        if signature.match(data):
            data = reduced(data)
    return data.ljust(_LEAST_BYTES, b"\0")


def has_alpha(data: bytes) -> bool:
    """Whether an image that `inspect` has described may be transparent, as far as OpenCV is to tell."""
    if png.SIGNATURE.match(data):
        return png.has_alpha(data)
    return bool(webp.SIGNATURE.match(data)) and webp.has_alpha(data)


def transparent_grey(data: bytes) -> int | None:
    """Return the grey level that stands for transparency in an image without an alpha channel, if one does."""
    return png.transparent_grey(data) if png.SIGNATURE.match(data) else None
