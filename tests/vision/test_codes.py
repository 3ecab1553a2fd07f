"""Codes are read: photographs with a known text, and codes drawn at known places by another library."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import qrcode
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pivision import picture
from pivision.config import ROOT
from pivision.operations.codes import Code, CodesParams
from pivision.vision import frame
from pivision.vision.codes import read_codes
from tests import needs
from tests.unit.conftest import encoded
from tests.unit.test_picture import tiff

PICTURES = Path(__file__).parent.parent / "pictures"
PHOTOGRAPHS = sorted(file for file in PICTURES.iterdir() if file.with_suffix(".txt").exists() and file.suffix != ".txt")
MORE_PHOTOGRAPHS = Path(os.environ.get("PIVISION_TEST_CODES", ROOT.parent / "shared" / "codes"))
ANY = CodesParams()
CORNER_TOLERANCE_PX = 2

Corners = list[tuple[float, float]]


def read(image: Image.Image, params: CodesParams = ANY) -> tuple[Code, ...]:
    return read_codes(frame.decode(encoded(image, "PNG")), params).codes


def drawn_code(text: str, scale_px: int = 6) -> Image.Image:
    """A QR code without its quiet zone."""
    code = qrcode.QRCode(border=0, box_size=scale_px, error_correction=qrcode.constants.ERROR_CORRECT_M)
    code.add_data(text.encode())
    image: Image.Image = code.make_image().get_image()
    return image.convert("RGB")


def on_canvas(text: str, left: int = 90, top: int = 70) -> tuple[Image.Image, Corners]:
    """A code at a known place of a picture that is no square, and its corners, from its own top left on."""
    code = drawn_code(text)
    canvas = Image.new("RGB", (480, 360), "white")
    canvas.paste(code, (left, top))
    right, bottom = left + code.width, top + code.height
    return canvas, [(left, top), (right, top), (right, bottom), (left, bottom)]


def assert_corners(code: Code, expected: Corners) -> None:
    for corner, (x, y) in zip(code.corners, expected, strict=True):
        assert abs(corner.x - x) <= CORNER_TOLERANCE_PX, (code.corners, expected)
        assert abs(corner.y - y) <= CORNER_TOLERANCE_PX, (code.corners, expected)


@pytest.mark.parametrize("file", PHOTOGRAPHS, ids=lambda file: file.name)
def test_a_photograph_is_read(file: Path) -> None:
    data = file.read_bytes()
    codes = read_codes(frame.decode(data, picture.inspect(data).orientation), ANY).codes
    assert [code.text.strip() for code in codes] == [file.with_suffix(".txt").read_bytes().decode().strip()]
    assert file.name.split("-")[0] == codes[0].format.lower()


def test_there_are_photographs() -> None:
    assert len(PHOTOGRAPHS) >= 8


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/?a=1&b=2",
        "0123456789",
        "A" * 500,
        "Grüße aus Köln",
        "日本語の文字列",
        "🍓 π ∞ \u202eRTL",
        "line one\nline two\ttabbed",
        '{"json": "\\" and \\\\"}',
    ],
)
def test_every_text_comes_back(text: str) -> None:
    canvas = Image.new("RGB", (1000, 1000), "white")
    canvas.paste(drawn_code(text), (50, 50))
    assert [(code.text, code.format) for code in read(canvas)] == [(text, "QRCode")]


# Each turns the picture counter-clockwise: where a point (x, y) of a picture of 480 x 360 goes.
TURNS: dict[int, tuple[Image.Transpose | None, Callable[[float, float], tuple[float, float]]]] = {
    0: (None, lambda x, y: (x, y)),
    90: (Image.Transpose.ROTATE_90, lambda x, y: (y, 480 - x)),
    180: (Image.Transpose.ROTATE_180, lambda x, y: (480 - x, 360 - y)),
    270: (Image.Transpose.ROTATE_270, lambda x, y: (360 - y, x)),
}


@pytest.mark.parametrize("degrees", TURNS)
def test_corners_follow_the_code_however_it_is_turned(degrees: int) -> None:
    turn, moved = TURNS[degrees]
    canvas, corners = on_canvas("which way is up")
    (code,) = read(canvas.transpose(turn) if turn is not None else canvas)
    assert_corners(code, [moved(x, y) for x, y in corners])
    assert (code.orientation_degrees + degrees) % 360 in (0, 360)  # which counts clockwise


# What undoes each orientation: how the sensor would have stored the upright picture.
AS_STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", AS_STORED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_corners_are_those_of_the_upright_picture(kind: str, orientation: int) -> None:
    canvas, corners = on_canvas("upright")
    turn = AS_STORED[orientation]
    stored = canvas if turn is None else canvas.transpose(turn)
    data = encoded(stored, kind, exif=b"Exif\0\0" + tiff(orientation))
    described = picture.inspect(data)
    assert (described.width_px, described.height_px) == canvas.size
    (code,) = read_codes(frame.decode(data, described.orientation), ANY).codes
    assert_corners(code, corners)
    assert code.orientation_degrees == 0


def test_several_codes_are_all_found_each_at_its_place() -> None:
    canvas = Image.new("RGB", (700, 500), "white")
    places = dict(zip("abcd", itertools.product((40, 400), (30, 300)), strict=True))
    for text, place in places.items():
        canvas.paste(drawn_code(text), place)
    codes = {code.text: code for code in read(canvas)}
    assert codes.keys() == places.keys()
    for text, (left, top) in places.items():
        assert abs(codes[text].corners[0].x - left) <= CORNER_TOLERANCE_PX
        assert abs(codes[text].corners[0].y - top) <= CORNER_TOLERANCE_PX


def test_only_the_wanted_formats_are_read() -> None:
    canvas = Image.new("RGB", (900, 700), "white")
    canvas.paste(drawn_code("a QR code"), (40, 40))
    canvas.paste(Image.open(PICTURES / "datamatrix-hello.png").convert("RGB"), (420, 300))
    assert {code.format for code in read(canvas)} == {"QRCode", "DataMatrix"}
    assert [code.text for code in read(canvas, CodesParams(formats=("QRCode",)))] == ["a QR code"]
    assert [code.text for code in read(canvas, CodesParams(formats=("DataMatrix", "EAN13")))] == ["Hello World"]
    assert read(canvas, CodesParams(formats=("EAN13",))) == ()


@pytest.mark.parametrize("colour", ["black", "white", "red", (1, 2, 3)])
def test_where_there_is_no_code_none_is_found(colour: str) -> None:
    assert read(Image.new("RGB", (200, 100), colour)) == ()


@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 1 << 32))
def test_any_size_can_be_looked_at(width_px: int, height_px: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), np.uint8)
    for code in read_codes(noise, ANY).codes:  # a short code may well be in the noise
        assert code.text is not None


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 2)])
def test_extreme_shapes_hold_no_code(size: tuple[int, int]) -> None:
    assert read(Image.new("RGB", size, "white")) == ()


def expected(file: Path) -> str | bytes:
    """What stands beside a photograph: the text, or the bytes of a code that holds more than text."""
    binary = file.with_suffix(".bin")
    return binary.read_bytes() if binary.exists() else file.with_suffix(".txt").read_bytes().decode().strip()


def held(text: str, content: bytes, file: Path) -> str | bytes:
    """What a code holds, of the kind that is expected of this photograph."""
    return content if file.with_suffix(".bin").exists() else text.strip()


def test_more_photographs(record_property: Callable[[str, object], None]) -> None:
    """Those of zxing-cpp's black-box tests: at least as many as it reads by itself, and nearly all of them."""
    files = sorted(file for file in MORE_PHOTOGRAPHS.glob("*/*") if file.suffix in (".png", ".webp"))
    if not files:
        needs.skip("photographs")
    read_here, read_alone = 0, 0
    for file in files:
        data, wanted = file.read_bytes(), expected(file)
        codes = read_codes(frame.decode(data, picture.inspect(data).orientation), ANY).codes
        alone = zxingcpp.read_barcodes(np.asarray(Image.open(file).convert("L")))
        read_here += wanted in [held(code.text, code.bytes, file) for code in codes]
        read_alone += wanted in [held(barcode.text, barcode.bytes, file) for barcode in alone]
    record_property("read", f"{read_here} of {len(files)}, zxing-cpp alone {read_alone}")
    print(f"{read_here} of {len(files)} photographs read, zxing-cpp alone {read_alone}")
    assert read_here >= read_alone
    assert read_here >= 0.9 * len(files)


EVERY_BYTE = bytes(range(256))


@pytest.mark.parametrize("content", [EVERY_BYTE, b"\x00", b"\x00\xff" * 20, b"\xff\xfe\x00a", b"\x80" * 300])
@pytest.mark.parametrize("name", ["QRCode", "DataMatrix", "Aztec", "PDF417"])
def test_bytes_come_back_exactly(name: str, content: bytes) -> None:
    drawn = zxingcpp.create_barcode(content, getattr(zxingcpp.BarcodeFormat, name)).to_image(scale=4)
    grey = np.pad(np.asarray(drawn), 40, constant_values=255)
    (code,) = read_codes(np.repeat(grey[:, :, np.newaxis], 3, axis=2), ANY).codes
    assert code.bytes == content
    assert code.format == name


@pytest.mark.parametrize("content", [EVERY_BYTE, b"\x00", b"\x00\xff" * 20])
def test_bytes_of_another_writer_come_back_exactly(content: bytes) -> None:
    code = qrcode.QRCode(border=4, box_size=4)
    code.add_data(qrcode.util.QRData(content, mode=qrcode.util.MODE_8BIT_BYTE))
    (found,) = read(code.make_image().get_image().convert("RGB"))
    assert found.bytes == content


@pytest.mark.parametrize("degrees", [-170, -135, -80, -45, -20, 20, 45, 80, 100, 135, 170])
def test_corners_and_orientation_of_a_code_at_any_angle(degrees: int) -> None:
    canvas, corners = on_canvas("slanted", 170, 110)
    turn = cv2.getRotationMatrix2D((240, 180), -degrees, 1)  # OpenCV counts counter-clockwise
    turned = cv2.warpAffine(np.asarray(canvas), turn, (480, 360), borderValue=(255, 255, 255))
    (code,) = read_codes(np.asarray(turned, np.uint8), ANY).codes
    places = [turn @ (x - 0.5, y - 0.5, 1) for x, y in corners]  # the middle of a pixel is its place here
    assert_corners(code, [(x + 0.5, y + 0.5) for x, y in places])
    assert abs((code.orientation_degrees - degrees + 180) % 360 - 180) <= 3
    assert -180 <= code.orientation_degrees <= 180


def on_paper(symbol: object) -> frame.Frame:
    """A symbol as zxing-cpp draws it, with a margin, as a BGR frame."""
    grey = cv2.copyMakeBorder(np.asarray(symbol), 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=255)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)


def test_a_group_separator_is_one_character_and_its_name_is_another_text() -> None:
    texts = ("DAKOTA\x1d62A", "DAKOTA<GS>62A")
    found = []
    for text in texts:
        drawn = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.DataMatrix).to_image(scale=5)
        (code,) = read_codes(on_paper(drawn), CodesParams()).codes
        found.append((code.text, code.printed, code.bytes))
    assert found == [(text, "DAKOTA<GS>62A", text.encode()) for text in texts]


@pytest.mark.parametrize(("name", "content"), [("EAN13", "4006381333931"), ("Code128", "light on dark")])
def test_a_linear_code_that_is_light_on_dark(name: str, content: str) -> None:
    drawn = zxingcpp.create_barcode(content, getattr(zxingcpp.BarcodeFormat, name)).to_image(scale=3)
    negative = 255 - on_paper(drawn)
    (code,) = read_codes(negative, CodesParams()).codes
    assert (code.text, code.format) == (content, name)
    only = msgspec.convert({"formats": [name]}, CodesParams)
    assert read_codes(negative, only).codes == (code,)
    assert read_codes(negative, CodesParams(formats=("QRCode",))).codes == ()


def test_a_matrix_code_that_is_light_on_dark_is_read_once() -> None:
    drawn = zxingcpp.create_barcode("once", zxingcpp.BarcodeFormat.QRCode).to_image(scale=5)
    for taken in (on_paper(drawn), 255 - on_paper(drawn)):
        assert [code.text for code in read_codes(taken, CodesParams()).codes] == ["once"]


def test_two_labels_with_the_same_code_are_two() -> None:
    drawn = on_paper(zxingcpp.create_barcode("twice", zxingcpp.BarcodeFormat.Code128).to_image(scale=3))
    assert [code.text for code in read_codes(np.hstack([drawn, drawn]), CodesParams()).codes] == ["twice", "twice"]
