"""Pictures that say how they were held: upright for us exactly as they are for Pillow."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from pivision import picture
from pivision.errors import ImageTruncated, ImageUndecodable
from pivision.vision import frame
from tests.unit.conftest import encoded
from tests.unit.test_picture import png_chunk, tiff

WIDTH, HEIGHT = 64, 32
CORNERS = {"red": (0, 0), "green": (1, 0), "blue": (1, 1), "white": (0, 1)}  # of the stored picture, column and row

# What stands at the top left and at the top right of the upright picture: EXIF 2.3, table 6, said by hand.
TOP = {
    1: ("red", "green"),
    2: ("green", "red"),
    3: ("blue", "white"),
    4: ("white", "blue"),
    5: ("red", "white"),
    6: ("white", "red"),
    7: ("blue", "green"),
    8: ("green", "blue"),
}


def four_corners() -> Image.Image:
    """A picture as the sensor sees it, each quarter in a colour of its own."""
    stored = Image.new("RGB", (WIDTH, HEIGHT))
    for colour, (column, row) in CORNERS.items():
        left, top = column * WIDTH // 2, row * HEIGHT // 2
        stored.paste(colour, (left, top, left + WIDTH // 2, top + HEIGHT // 2))
    return stored


def colour_at(upright: frame.Frame, column: float, row: float) -> str:
    """The name of the colour at a place given as fractions of the width and the height."""
    height_px, width_px = upright.shape[:2]
    blue, green, red = (int(level) > 127 for level in upright[int(row * height_px), int(column * width_px)])
    return {(1, 0, 0): "red", (0, 1, 0): "green", (0, 0, 1): "blue", (1, 1, 1): "white"}.get((red, green, blue), "?")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_upright_picture(kind: str, orientation: int, order: str) -> None:
    data = encoded(four_corners(), kind, exif=b"Exif\0\0" + tiff(orientation, order), quality=95)
    described = picture.inspect(data)
    upright = frame.decode(data, described.orientation)
    with Image.open(io.BytesIO(data)) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))
    assert described.orientation == orientation
    assert (described.height_px, described.width_px, 3) == upright.shape == expected.shape
    assert np.abs(upright[:, :, ::-1].astype(int) - expected.astype(int)).max() <= 8
    assert (colour_at(upright, 0.1, 0.1), colour_at(upright, 0.9, 0.1)) == TOP[orientation]
    assert upright.flags.c_contiguous


def test_a_png_may_say_it_behind_its_pixels() -> None:
    data = encoded(four_corners(), "PNG")
    end = data.rindex(b"IEND") - 4
    turned = data[:end] + png_chunk(b"eXIf", tiff(6)) + data[end:]
    assert picture.inspect(turned) == picture.Picture("png", HEIGHT, WIDTH, 6)


@pytest.mark.parametrize(
    "exif",
    [
        tiff(0),
        tiff(9),
        tiff(6)[:12],
        b"",
        b"II*\0\xff\xff\xff\xff",
        b"no exif at all",
        b"II*\0\x08\0\0\0\xff\xff",
        struct.pack("<4sIH", b"II*\0", 8, 0),
    ],
)
def test_an_orientation_that_makes_no_sense_is_none(exif: bytes) -> None:
    data = encoded(four_corners(), "JPEG", exif=b"Exif\0\0" + exif)
    described = picture.inspect(data)
    assert (described.format, described.width_px, described.height_px) == ("jpeg", WIDTH, HEIGHT)
    assert described.orientation == 1


def test_other_tags_stand_before_it() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "A maker with a long name", "A model", 8
    data = encoded(four_corners(), "JPEG", exif=exif.tobytes())
    assert picture.inspect(data).orientation == 8


@pytest.mark.parametrize("data", [b"", b"no picture", encoded(four_corners(), "PNG")[:60]])
def test_what_cannot_be_decoded_says_so(data: bytes) -> None:
    with pytest.raises((ImageUndecodable, ImageTruncated)):
        frame.decode(data)
