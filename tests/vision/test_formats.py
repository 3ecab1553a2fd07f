"""Odd and damaged images, one kind a test, against what Pillow makes of them or what stands in the file."""

import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from pivision import picture
from pivision.errors import ImageTooComplex, ImageTruncated, ImageUnsupported, PiVisionError
from pivision.vision import frame
from tests.unit.conftest import encoded
from tests.unit.test_picture import by_pillow, png_chunk

WIDTH, HEIGHT = 160, 120
DEADLINE_SECONDS = 60.0


def photograph(mode: str = "RGB") -> Image.Image:
    """Colours that change over both sides, and noise: no two blocks are alike."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    noise = np.random.default_rng(1).integers(0, 60, (HEIGHT, WIDTH, 3))
    colours = np.dstack([columns, rows, (rows + columns) // 2]) + noise
    return Image.fromarray(colours.astype(np.uint8)).convert(mode)


def translucent() -> Image.Image:
    """From nothing at the left to all at the right."""
    image = photograph("RGBA")
    image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))))
    return image


def decoded(data: bytes) -> frame.Decoded:
    """As a worker does it."""
    return frame.decode_with_warnings(data, picture.inspect(data).orientation)


def assert_like_pillow(data: bytes, reference: bytes | None = None, tolerance: int = 1) -> None:
    expected = np.asarray(by_pillow(reference or data)).astype(int)
    found = decoded(data)
    assert np.abs(found.frame[:, :, ::-1].astype(int) - expected).max() <= tolerance
    assert found.warnings == ()


# Progressive scans


def scans(side_px: int, repeats: int, mode: str = "L") -> bytes:
    """A progressive JPEG of one grey whose last scan is repeated."""
    whole = encoded(Image.new(mode, (side_px, side_px), 128), "JPEG", progressive=True)
    end = whole.rindex(b"\xff\xd9")
    return whole[:end] + whole[whole.rindex(b"\xff\xda") : end] * repeats + whole[end:]


def test_many_scans_are_refused_at_once() -> None:
    bomb = scans(4000, 3000)
    assert len(bomb) < 1_000_000
    began = time.process_time()
    with pytest.raises(ImageTooComplex, match="4000 x 4000"):
        picture.require_decodable_within(picture.inspect(bomb), DEADLINE_SECONDS)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("subsampling", [0, 2])
def test_the_largest_photographs_are_not_too_complex(subsampling: int) -> None:
    """50 megapixels, progressive, as every program saves them; a few seconds are a short deadline."""
    small = picture.inspect(encoded(photograph(), "JPEG", progressive=True, subsampling=subsampling))
    assert 4 < small.passes < 20
    large = picture.Picture("jpeg", 8000, 6250, 1, small.passes)
    picture.require_decodable_within(large, 10)
    with pytest.raises(ImageTooComplex, match="task_deadline_seconds"):
        picture.require_decodable_within(large, 1)


def test_looking_at_a_large_file_takes_no_longer_than_reading_it() -> None:
    """What is cheap to send must be cheap to refuse: 20 MB of each kind of part."""
    size = 20_000_000
    exif = b"\xff\xe1\x7f\xfaExif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2700) + bytes(32_736)
    large = [
        b"\xff\xd8" + b"\xff\xfe\0\x02" * (size // 4),
        b"\xff\xd8\xff\xda\0\x02" + b"\xff\0" * (size // 2),
        b"\xff\xd8" + b"\xff" * size,
        b"\xff\xd8" + exif * (size // len(exif)),
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", bytes(13)) + png_chunk(b"tEXt", b"") * (size // 12),
        b"RIFF" + struct.pack("<I", size) + b"WEBP" + (b"abcd" + bytes(4)) * (size // 8),
        b"BM" + bytes(12) + struct.pack("<I", 40) + b"\xff" * size,
    ]
    for data in large:
        began = time.process_time()
        with pytest.raises(PiVisionError):
            picture.inspect(data)
        assert time.process_time() - began < 1.5, data[:40]


# JPEG


def test_an_end_marker_that_padding_has_taken_is_not_missed() -> None:
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 3}):
        whole = encoded(photograph(), "JPEG", **options)
        for padding in (bytes(2), bytes(500), bytes(5000), b"\xff" * 4, b"\xff" * 5000):
            assert_like_pillow(whole[:-2] + padding, whole, tolerance=0)
            assert_like_pillow(whole + padding, whole, tolerance=0)


def test_half_a_jpeg_with_an_end_marker_comes_with_a_warning() -> None:
    whole = encoded(photograph(), "JPEG", quality=90)
    for end in (b"\xff\xd9", bytes(64)):
        assert any("premature end" in warning for warning in decoded(whole[: len(whole) // 2] + end).warnings)
    restarted = encoded(photograph(), "JPEG", restart_marker_blocks=4)
    lost = restarted.index(b"\xff\xd3", len(restarted) // 3)
    assert decoded(restarted[: lost - 40] + restarted[lost + 30 :]).warnings
    assert decoded(whole).warnings == ()


def test_a_progressive_jpeg_without_its_last_scans_comes_with_a_warning() -> None:
    whole = encoded(photograph(), "JPEG", progressive=True)
    assert picture.inspect(whole).warnings == ()
    cut = whole[: whole.rindex(b"\xff\xda")] + b"\xff\xd9"
    assert picture.inspect(cut).warnings == ("the JPEG lacks some of its scans",)


def test_a_cut_off_upload_is_no_jpeg_without_its_end() -> None:
    whole = encoded(photograph(), "JPEG")
    with pytest.raises(ImageTruncated):
        picture.inspect(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("marker", "precision", "says"),
    [(0xC3, 8, "lossless"), (0xC5, 8, "hierarchical"), (0xC1, 12, "12 bits"), (0xCB, 8, "lossless")],
)
def test_kinds_of_jpeg_that_opencv_does_not_decode_are_named(marker: int, precision: int, says: str) -> None:
    whole = bytearray(encoded(photograph(), "JPEG"))
    start = whole.index(b"\xff\xc0")
    whole[start + 1], whole[start + 4] = marker, precision
    with pytest.raises(ImageUnsupported, match=says):
        picture.inspect(bytes(whole))


# PNG


def png(rows: bytes, *before: bytes, idat: bytes | None = None, has_end: bool = True, depth: int = 8) -> bytes:
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, 2, 0, 0, 0)
    pixels = png_chunk(b"IDAT", zlib.compress(rows)) if idat is None else idat
    end = png_chunk(b"IEND", b"") if has_end else b""
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + b"".join(before) + pixels + end


ROWS = b"".join(b"\0" + row.tobytes() for row in np.asarray(photograph()))
WHOLE_PNG = png(ROWS)


def damaged(chunk: bytes) -> bytes:
    return chunk[:-4] + b"\0\0\0\0"


@pytest.mark.parametrize("kind", [b"tEXt", b"gAMA", b"iCCP", b"pHYs", b"tIME", b"eXIf", b"zTXt", b"prVt"])
def test_damaged_ancillary_chunks_do_not_matter(kind: bytes) -> None:
    assert_like_pillow(png(ROWS, damaged(png_chunk(kind, b"abcd"))), WHOLE_PNG, tolerance=0)


@pytest.mark.parametrize("rest", [b"", b"\0\0\0\0", bytes(100), b"\0\0\0\0IEND", b"\0\0\0\0IEND\0\0"])
def test_a_whole_png_without_its_end_is_taken(rest: bytes) -> None:
    assert_like_pillow(png(ROWS, has_end=False) + rest, WHOLE_PNG, tolerance=0)


def test_half_a_png_is_refused_or_fails() -> None:
    half = zlib.compress(ROWS)[:-3000]
    with pytest.raises(ImageTruncated, match="last row"):
        picture.inspect(png(b"", idat=png_chunk(b"IDAT", half), has_end=False))
    with pytest.raises(ImageTruncated, match="IDAT"):
        picture.inspect(png(b"", idat=damaged(png_chunk(b"IDAT", zlib.compress(ROWS)))))
    with pytest.raises(ImageTruncated, match="no IDAT"):
        picture.inspect(png(b"", idat=b""))
    with pytest.raises(PiVisionError):
        decoded(png(b"", idat=png_chunk(b"IDAT", half)))


def test_what_follows_the_rows_of_a_png_is_not_inflated() -> None:
    """3 MB hold 3 GB of zeros: libpng inflates them, for seconds."""
    endless = zlib.compressobj(9)
    stream = endless.compress(ROWS) + b"".join(endless.compress(bytes(1 << 20)) for _ in range(1200))
    bomb = png(b"", idat=png_chunk(b"IDAT", stream + endless.flush()))
    began = time.process_time()
    with pytest.raises(ImageTooComplex, match="twice"):
        decoded(bomb)
    assert time.process_time() - began < 0.5


def test_texts_of_a_png_are_not_inflated() -> None:
    text = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(7_900_000), 9))
    data = png(ROWS, *[text] * 100)
    began = time.process_time()
    assert_like_pillow(data, WHOLE_PNG)
    assert time.process_time() - began < 0.5


def test_a_critical_chunk_that_nobody_knows_is_named() -> None:
    with pytest.raises(ImageUnsupported, match="ABCD"):
        picture.inspect(png(ROWS, png_chunk(b"ABCD", b"x")))


# Sizes


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
@pytest.mark.parametrize("mode", ["RGB", "L", "1"])
def test_a_single_pixel(kind: str, mode: str) -> None:
    data = encoded(Image.new(mode, (1, 1), 0), kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert decoded(data).frame.max() <= 1


def test_sides_that_no_decoder_takes_are_refused() -> None:
    for data in (
        encoded(Image.new("1", (1_048_577, 1)), "BMP"),
        encoded(Image.new("1", (1_000_001, 1)), "PNG"),
        encoded(Image.new("L", (16, 16)), "JPEG").replace(b"\0\x10\0\x10", b"\0\x10\xff\xff"),
    ):
        with pytest.raises(ImageUnsupported, match="at most"):
            picture.inspect(data)
    assert decoded(encoded(Image.new("1", (1_000_000, 1)), "PNG")).frame.shape == (1, 1_000_000, 3)


# Other formats


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"GIF89a" + bytes(50), "GIF"),
        (b"II*\0\x08\0\0\0" + bytes(50), "TIFF"),
        (b"MM\0*\0\0\0\x08" + bytes(50), "TIFF"),
        (b"\xff\x0a\xfa\x7f", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51\0\x2f", "JPEG 2000"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg/>', "SVG"),
        (b"%PDF-1.7", "PDF"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "MP4"),
        (b"P6\n10 10\n255\n", "Netpbm"),
        (b"/9j/4AAQSkZJRg", "base64"),
    ],
)
def test_a_format_that_is_not_read_is_named(head: bytes, name: str) -> None:
    with pytest.raises(ImageUnsupported, match=name):
        picture.inspect(head)
