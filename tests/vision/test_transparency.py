"""Transparency is laid on white, and BMPs are decoded by their masks: against Pillow, or what was drawn."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from pivision import picture
from pivision.errors import ImageUnsupported
from pivision.vision import frame
from tests.unit.conftest import encoded
from tests.unit.test_picture import png_chunk
from tests.vision.test_formats import HEIGHT, WIDTH, assert_like_pillow, decoded, photograph, translucent

# Transparency is laid on white


TRANSPARENT: dict[str, Callable[[], bytes]] = {
    "png RGBA": lambda: encoded(translucent(), "PNG"),
    "png LA": lambda: encoded(translucent().convert("LA"), "PNG"),
    "png palette": lambda: encoded(photograph().quantize(16), "PNG", transparency=3),
    "png palette, several": lambda: encoded(photograph().quantize(16), "PNG", transparency=bytes(range(0, 160, 10))),
    "png RGB": lambda: encoded(photograph(), "PNG", transparency=photograph().getpixel((5, 5))),
    "png grey": lambda: encoded(photograph("L"), "PNG", transparency=photograph("L").getpixel((5, 5))),
    "png 1 bit": lambda: encoded(photograph("1"), "PNG", transparency=0),
    "webp": lambda: encoded(translucent(), "WEBP", lossless=True),
    "webp animated": lambda: encoded(
        translucent(), "WEBP", save_all=True, append_images=[Image.new("RGBA", (WIDTH, HEIGHT), "red")], lossless=True
    ),
}


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_transparency_is_laid_on_white(kind: str) -> None:
    data = TRANSPARENT[kind]()
    assert_like_pillow(data)
    assert (frame.decode(data) == 255).all(axis=2).any()


def test_16_bits_of_transparency() -> None:
    """Pillow reads no such file; the bytes are as PNG has them."""
    wide = np.asarray(translucent()).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in wide.astype(">u2"))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 6, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    data = b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, body) for kind, body in chunks)
    assert_like_pillow(data, encoded(translucent(), "PNG"))


# BMP


def bmp(
    bits: int, masks: tuple[int, ...], *, header_bytes: int = 40, compression: int = 3, top_down: bool = False
) -> bytes:
    """The photograph by these masks: red, green, blue, and alpha if there are four."""
    channels = [np.asarray(translucent())[:, :, n].astype(np.uint64) for n in range(4)]
    words = np.zeros((HEIGHT, WIDTH), np.uint64)
    for channel, mask in zip(channels, masks, strict=False):
        lowest = mask & -mask or 1
        words |= (channel * (mask // lowest) // 255) * lowest
    rows = (words if top_down else words[::-1]).astype(f"<u{bits // 8}").tobytes()
    listed = struct.pack(f"<{len(masks)}I", *masks) if compression else b""
    header = struct.pack(
        "<IiiHHIIiiII",
        header_bytes,
        WIDTH,
        -HEIGHT if top_down else HEIGHT,
        1,
        bits,
        compression,
        len(rows),
        0,
        0,
        0,
        0,
    )
    header += listed.ljust(header_bytes - 40, b"\0")
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(rows), 0, 0, 14 + len(header)) + header + rows


@pytest.mark.parametrize(
    ("bits", "masks"),
    [
        (32, (0xFF0000, 0xFF00, 0xFF)),
        (32, (0xFF, 0xFF00, 0xFF0000)),
        (32, (0xFF000000, 0xFF0000, 0xFF00)),
        (32, (0x3FF00000, 0xFFC00, 0x3FF)),
        (32, (0xF, 0xF0, 0xF00)),
        (16, (0xF800, 0x7E0, 0x1F)),
        (16, (0x7C00, 0x3E0, 0x1F)),
        (16, (0x1F, 0x7E0, 0xF800)),
        (16, (0xF00, 0xF0, 0xF)),
    ],
)
@pytest.mark.parametrize("top_down", [False, True])
def test_bmp_masks(bits: int, masks: tuple[int, ...], top_down: bool) -> None:
    least_bits = min(bin(mask).count("1") for mask in masks)
    found = decoded(bmp(bits, masks, top_down=top_down)).frame[:, :, ::-1].astype(int)
    assert np.abs(found - np.asarray(photograph()).astype(int)).max() <= 256 >> least_bits


def test_the_alpha_of_a_bmp_counts_where_there_is_one() -> None:
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    assert_like_pillow(bmp(32, masks, header_bytes=108), encoded(translucent(), "PNG"))
    assert_like_pillow(bmp(32, masks[:3], header_bytes=108), encoded(photograph(), "PNG"))
    assert_like_pillow(bmp(32, masks[:3], header_bytes=40, compression=0), encoded(photograph(), "PNG"))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (bmp(32, (0xF0F, 0xF0, 0xF000)), "masks"),
        (bmp(32, (0xFF0000, 0xFF00, 0xFF), header_bytes=64), "OS/2"),
        (bmp(32, (0xFF0000, 0xFF00, 0xFF), compression=4), "JPEG or PNG"),
        (bmp(32, (0xFF0000, 0xFF00, 0xFF), compression=9), "compression 9"),
        (bmp(32, (0xFF0000, 0xFF00, 0xFF), header_bytes=44), "44 bytes"),
    ],
)
def test_kinds_of_bmp_that_are_not_read_are_named(data: bytes, says: str) -> None:
    with pytest.raises(ImageUnsupported, match=says):
        picture.inspect(data)
