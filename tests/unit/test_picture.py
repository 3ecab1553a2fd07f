"""What a picture's bytes say of themselves, against what Pillow says of the same bytes."""

import io
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pivision import picture
from pivision.errors import ImageEmpty, ImageTruncated, ImageUnsupported, PiVisionError
from pivision.vision import frame
from tests.unit.conftest import encoded

WIDTH, HEIGHT = 61, 37  # odd, and no multiple of a JPEG block: what rounding gets wrong
REFUSED = (ImageEmpty, ImageTruncated, ImageUnsupported)


def drawn(mode: str = "RGB") -> Image.Image:
    """A picture that differs in both directions."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    channels = [columns * 4 % 256, rows * 6 % 256, (rows + columns) * 2 % 256, 255 - rows * 5 % 256]
    return Image.fromarray(np.dstack(channels).astype(np.uint8), "RGBA").convert(mode)


def tiff(orientation: int, order: str = "<") -> bytes:
    """EXIF with nothing but an orientation."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def jpeg_with_thumbnail() -> bytes:
    """A thumbnail is a whole JPEG, with a size and an end marker of its own, before those of the picture."""
    thumbnail = encoded(drawn().resize((16, 9)), "JPEG")
    return encoded(drawn(), "JPEG", exif=b"Exif\0\0" + tiff(1) + thumbnail)


def jpeg_with_tables_first() -> bytes:
    """Huffman tables may stand before the frame, whose marker is of the same kind."""
    data = encoded(drawn(), "JPEG")
    start = data.index(b"\xff\xc4")
    (length,) = struct.unpack_from(">H", data, start + 2)
    return data[:2] + data[start : start + 2 + length] + data[2:]


def by_opencv(extension: str, image: np.ndarray, *options: int) -> bytes:
    return bytes(cv2.imencode(extension, image, list(options))[1])


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width_px: int, height_px: int, rows: bytes, *, colour: int = 0, interlaced: bool = False) -> bytes:
    header = struct.pack(">IIBBBBB", width_px, height_px, 8, colour, 0, 0, int(interlaced))
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, body) for kind, body in chunks)


def png_interlaced() -> bytes:
    """Adam7, which neither Pillow nor OpenCV writes: seven pictures, each of some pixels (PNG, 8.2)."""
    grey = np.asarray(drawn("L"))
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [grey[top::down, left::right] for top, left, down, right in passes]
    rows = b"".join(b"\0" + row.tobytes() for part in parts for row in part)
    return png(WIDTH, HEIGHT, rows, interlaced=True)


def bmp_top_down() -> bytes:
    """The same rows with a negative height: the picture stands on its head."""
    data = bytearray(encoded(drawn(), "BMP"))
    struct.pack_into("<i", data, 22, -HEIGHT)
    return bytes(data)


COLOUR = np.asarray(drawn())[:, :, ::-1]

WHOLE: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: encoded(drawn(), "JPEG", quality=95),
    "jpeg progressive": lambda: encoded(drawn(), "JPEG", quality=95, progressive=True),
    "jpeg grey": lambda: encoded(drawn("L"), "JPEG"),
    "jpeg cmyk": lambda: encoded(drawn("CMYK"), "JPEG"),
    "jpeg 4:4:4": lambda: encoded(drawn(), "JPEG", subsampling=0),
    "jpeg with restart markers": lambda: encoded(drawn(), "JPEG", restart_marker_blocks=1),
    "jpeg with a thumbnail": jpeg_with_thumbnail,
    "jpeg with tables first": jpeg_with_tables_first,
    "jpeg with a comment": lambda: encoded(drawn(), "JPEG", comment=b"\xff\xd9 is no end here"),
    "jpeg by OpenCV": lambda: by_opencv(".jpg", COLOUR),
    "jpeg by OpenCV, progressive": lambda: by_opencv(".jpg", COLOUR, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "jpeg by OpenCV, restarts": lambda: by_opencv(".jpg", COLOUR, cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "png": lambda: encoded(drawn(), "PNG"),
    "png alpha": lambda: encoded(drawn("RGBA"), "PNG"),
    "png grey": lambda: encoded(drawn("L"), "PNG"),
    "png grey alpha": lambda: encoded(drawn("LA"), "PNG"),
    "png palette": lambda: encoded(drawn().quantize(16), "PNG"),
    "png 1 bit": lambda: encoded(drawn("1"), "PNG"),
    "png interlaced": png_interlaced,
    "png 16 bit": lambda: by_opencv(".png", COLOUR.astype(np.uint16) * 257),
    "png by OpenCV": lambda: by_opencv(".png", COLOUR),
    "webp": lambda: encoded(drawn(), "WEBP", quality=95),
    "webp lossless": lambda: encoded(drawn(), "WEBP", lossless=True),
    "webp alpha": lambda: encoded(drawn("RGBA"), "WEBP", quality=95),
    "webp lossless alpha": lambda: encoded(drawn("RGBA"), "WEBP", lossless=True, exact=True),
    "webp animated": lambda: encoded(drawn(), "WEBP", save_all=True, append_images=[drawn("L")], lossless=True),
    "webp by OpenCV": lambda: by_opencv(".webp", COLOUR),
    "bmp": lambda: encoded(drawn(), "BMP"),
    "bmp grey": lambda: encoded(drawn("L"), "BMP"),
    "bmp 1 bit": lambda: encoded(drawn("1"), "BMP"),
    "bmp palette": lambda: encoded(drawn().quantize(16), "BMP"),
    "bmp 32 bit": lambda: encoded(drawn("RGBA"), "BMP"),
    "bmp top down": bmp_top_down,
    "bmp by OpenCV": lambda: by_opencv(".bmp", COLOUR),
}
# Where two decoders rightly differ: rounding of the lossy formats, and what a printer's colours look like on a screen.
TOLERANCE = {"jpeg": 6, "webp": 6, "png": 0, "bmp": 0}


@pytest.mark.parametrize(
    ("kind", "sign"),
    [
        ("jpeg progressive", b"\xff\xc2"),
        ("jpeg by OpenCV, progressive", b"\xff\xc2"),
        ("jpeg with restart markers", b"\xff\xd1"),
        ("jpeg by OpenCV, restarts", b"\xff\xd1"),
        ("jpeg with a thumbnail", b"\xff\xd9"),
        ("png palette", b"PLTE"),
        ("png 16 bit", b"\x10\x02\0\0\0"),
        ("webp", b"VP8 "),
        ("webp lossless", b"VP8L"),
        ("webp alpha", b"ALPH"),
        ("webp animated", b"ANMF"),
    ],
)
def test_the_pictures_are_what_their_names_say(kind: str, sign: bytes) -> None:
    assert sign in WHOLE[kind]()[:-2]


def by_pillow(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as stored:
        upright = ImageOps.exif_transpose(stored)
        if upright.has_transparency_data:
            paper = Image.new("RGBA", upright.size, "white")
            paper.alpha_composite(upright.convert("RGBA"))
            upright = paper
        return upright.convert("RGB")


@pytest.mark.parametrize("kind", WHOLE)
def test_a_picture_is_described_as_pillow_describes_it(kind: str) -> None:
    data = WHOLE[kind]()
    described = picture.inspect(data)
    assert (described.format, described.width_px, described.height_px) == (kind.split()[0], WIDTH, HEIGHT)
    assert described.orientation == 1
    assert not described.warnings
    assert by_pillow(data).size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("kind", WHOLE)
def test_a_picture_is_decoded_as_pillow_decodes_it(kind: str) -> None:
    data = WHOLE[kind]()
    decoded = frame.decode(data)
    assert decoded.shape == (HEIGHT, WIDTH, 3)
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    if kind not in ("jpeg cmyk", "png 16 bit"):
        difference = np.abs(decoded[:, :, ::-1].astype(int) - np.asarray(by_pillow(data)).astype(int))
        assert difference.max() <= TOLERANCE[kind.split()[0]]
    if kind == "png 16 bit":
        assert np.array_equal(decoded, COLOUR)


@pytest.mark.parametrize("kind", WHOLE)
def test_a_picture_that_ends_too_early_is_refused(kind: str) -> None:
    data = WHOLE[kind]()
    for size in range(len(data)):
        try:
            described = picture.inspect(data[:size])
        except REFUSED:
            continue
        assert described == picture.inspect(data), f"cut off after {size} of {len(data)} bytes"
        assert np.array_equal(frame.decode(data[:size]), frame.decode(data)), f"{size} of {len(data)} bytes"


@pytest.mark.parametrize("kind", WHOLE)
def test_a_single_wrong_byte_raises_nothing_else(kind: str) -> None:
    data = bytearray(WHOLE[kind]())
    for position in range(len(data)):
        right = data[position]
        for wrong in {0, 0xFF, right ^ 1, right ^ 0x80, 0xD9} - {right}:
            data[position] = wrong
            try:
                described = picture.inspect(bytes(data))
                if position % 7 == 0 and described.width_px * described.height_px < 100_000:
                    frame.decode(bytes(data), described.orientation)
            except PiVisionError:
                pass
        data[position] = right


SIGNATURES = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x40\0\0\0WEBP", b"RIFF\x40\0\0\0WEBPVP8X", b"BM" * 7]


@given(st.sampled_from(SIGNATURES), st.binary(max_size=200))
@example(b"", b"")
@example(b"\xff\xd8\xff", b"\xff" * 100)
@example(b"\xff\xd8\xff", b"\xe1\0\x10Exif\0\0II*\0\xff\xff\xff\xff")
@example(b"RIFF\x40\0\0\0WEBP", b"VP8 \0\0\0\0" * 10)
def test_arbitrary_bytes_raise_nothing_else(signature: bytes, rest: bytes) -> None:
    try:
        described = picture.inspect(signature + rest)
    except PiVisionError:
        return
    assert described.width_px > 0
    assert described.height_px > 0
    assert 1 <= described.orientation <= 8


@pytest.mark.parametrize("data", [b"GIF89a" + bytes(50), b"%PDF-1.7", b"<svg/>", b"hello, I am photo.jpg" * 9, b"BM"])
def test_what_is_no_picture_of_ours_is_unsupported(data: bytes) -> None:
    with pytest.raises(ImageUnsupported):
        picture.inspect(data)


def test_no_bytes_are_no_image() -> None:
    with pytest.raises(ImageEmpty):
        picture.inspect(b"")


def test_a_bomb_is_described_without_being_decoded() -> None:
    bomb = png(60_000, 60_000, bytes(1000))
    assert picture.inspect(bomb) == picture.Picture("png", 60_000, 60_000, 1)


@pytest.mark.parametrize("kind", ["jpeg", "jpeg progressive", "png", "bmp", "webp"])
def test_what_stands_behind_the_picture_does_not_matter(kind: str) -> None:
    data = WHOLE[kind]()
    for rest in (b"\0" * 100, b"and so on", b"\xff\xd8\xff\xc0" + b"\xff" * 50):
        assert picture.inspect(data + rest) == picture.inspect(data)
        assert np.array_equal(frame.decode(data + rest), frame.decode(data))


@pytest.mark.parametrize("size", [(0, 10), (10, 0), (0, 0)])
def test_a_picture_without_pixels_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ImageTruncated):
        picture.inspect(png(*size, b""))


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (16383, 1)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_extreme_shapes(kind: str, size: tuple[int, int]) -> None:
    data = encoded(Image.new("RGB", size), kind)
    described = picture.inspect(data)
    assert (described.width_px, described.height_px) == size
    assert frame.decode(data).shape == (size[1], size[0], 3)


def test_the_old_bmp_kind_is_named() -> None:
    old = b"BM" + struct.pack("<IHHIIHHHH", 26 + 12, 0, 0, 26, 12, 1, 1, 1, 24) + bytes(12)
    with pytest.raises(ImageUnsupported, match="OS/2"):
        picture.inspect(old)
