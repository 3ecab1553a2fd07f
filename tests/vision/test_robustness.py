"""Whatever the picture: every operation that needs no model has an answer, and a sensible one."""

import io
import itertools
from typing import Literal

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pivision.operations.codes import CodesParams
from pivision.operations.markers import MarkersParams
from pivision.operations.motion import MotionParams, MotionResult
from pivision.operations.quality import QualityParams
from pivision.vision.codes import read_codes
from pivision.vision.frame import Frame, decode
from pivision.vision.markers import find_markers
from pivision.vision.motion import detect_motion
from pivision.vision.quality import measure_quality
from tests.vision.conftest import photograph

CAMERA = ((50.0, 0.0, 20.0), (0.0, 50.0, 20.0), (0.0, 0.0, 1.0))
MARKERS = MarkersParams(("4X4_1000", "APRILTAG_16h5", "ARUCO_ORIGINAL"), CAMERA, (), 1.0)

Content = Literal["constant", "noise", "grey noise", "stripes"]
sides = st.one_of(st.integers(1, 5), st.integers(1, 90))
contents = st.sampled_from(["constant", "noise", "grey noise", "stripes"])


def picture(width_px: int, height_px: int, content: Content, seed: int) -> Frame:
    random = np.random.default_rng(seed)
    if content == "constant":
        return np.full((height_px, width_px, 3), seed % 256, np.uint8)
    if content == "stripes":
        row = np.arange(width_px) // (1 + seed % 7) % 2 * 255
        return np.ascontiguousarray(np.broadcast_to(row[np.newaxis, :, np.newaxis], (height_px, width_px, 3)), np.uint8)
    if content == "grey noise":
        return np.repeat(random.integers(0, 256, (height_px, width_px, 1), np.uint8), 3, axis=2)
    return random.integers(0, 256, (height_px, width_px, 3), np.uint8)


def assert_sensible(frame: Frame, previous: Frame | None) -> None:
    """Every operation answers in JSON, within its own bounds and within the picture."""
    motion = detect_motion(frame, MotionParams(min_area=0), previous)
    results = (
        read_codes(frame, CodesParams()),
        find_markers(frame, MARKERS),
        measure_quality(frame, QualityParams(), previous),
        motion,
    )
    for result in results:
        encoded = msgspec.json.encode(result)
        assert b"NaN" not in encoded
        assert msgspec.json.decode(encoded, type=type(result)) == result  # which checks the bounds
    assert_within(motion, frame)


def assert_within(motion: MotionResult, frame: Frame) -> None:
    assert (motion.score > 0) == (motion.changed_area > 0) == bool(motion.boxes)
    for box in motion.boxes:
        assert box.width > 0
        assert box.height > 0
        assert 0 <= box.x <= box.x + box.width <= frame.shape[1] + 1e-6
        assert 0 <= box.y <= box.y + box.height <= frame.shape[0] + 1e-6


@given(sides, sides, contents, contents, st.integers(0, 1 << 32))
def test_any_picture_after_any_of_its_size(width: int, height: int, now: Content, before: Content, seed: int) -> None:
    assert_sensible(picture(width, height, now, seed), picture(width, height, before, seed + 1))


@given(sides, sides, sides, sides, contents, st.integers(0, 1 << 32))
def test_any_picture_after_any_other(w: int, h: int, before_w: int, before_h: int, now: Content, seed: int) -> None:
    assert_sensible(picture(w, h, now, seed), picture(before_w, before_h, "noise", seed + 1))


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (3, 700), (321, 319), (2, 2)])
@pytest.mark.parametrize("content", ["constant", "noise"])
def test_extreme_shapes(size: tuple[int, int], content: Content) -> None:
    assert_sensible(picture(*size, content, 1), picture(*size, "noise", 2))
    assert_sensible(picture(*size, content, 1), None)


@given(st.integers(400, 900), st.integers(400, 900), st.integers(0, 3), st.integers(0, 3), st.integers(30, 200))
def test_boxes_of_scaled_pictures_stay_within(width: int, height: int, column: int, row: int, side: int) -> None:
    before = np.full((height, width, 3), 90, np.uint8)
    frame = before.copy()
    left, top = column * (width - side) // 3, row * (height - side) // 3  # at the edges, too
    frame[top : top + side, left : left + side] = 230
    motion = detect_motion(frame, MotionParams(min_area=0), before)
    assert_within(motion, frame)
    (box,) = motion.boxes
    margin = 2 * max(width, height) / 320
    assert abs(box.x - left) <= margin
    assert abs(box.y - top) <= margin
    assert abs(box.x + box.width - left - side) <= margin
    assert abs(box.y + box.height - top - side) <= margin


@pytest.mark.parametrize("step", [2, 3])
def test_a_view_of_another_array_is_read_like_its_copy(step: int) -> None:
    """Frames from decode are contiguous; what is cut out of one is not."""
    whole = photograph("dog.jpg")
    for view in (whole[::step, ::step], whole[50:400, 100:600], whole[:, ::-1], whole[::-1]):
        copy = np.ascontiguousarray(view)
        assert not view.flags.c_contiguous or view is whole
        assert read_codes(view, CodesParams()) == read_codes(copy, CodesParams())
        assert find_markers(view, MARKERS) == find_markers(copy, MARKERS)
        assert measure_quality(view, QualityParams(), view) == measure_quality(copy, QualityParams(), copy)
        assert detect_motion(view, MotionParams(), copy) == detect_motion(copy, MotionParams(), view)


def png(levels: np.ndarray[tuple[int, ...], np.dtype[np.uint8 | np.uint16]]) -> bytes:
    """Written by OpenCV, whose channels are blue, green, red, transparency."""
    _is_written, data = cv2.imencode(".png", levels)
    return data.tobytes()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_every_png_becomes_bgr_of_eight_bits(bits: int, channels: int) -> None:
    step = 257 if bits == 16 else 1  # 257 x 255 is the white of 16 bits
    blue, green, red = 200, 100, 50
    colour = {1: (blue,), 3: (blue, green, red), 4: (blue, green, red, 128)}[channels]
    levels = np.empty((7, 9, channels), np.uint16 if bits == 16 else np.uint8)
    levels[:] = np.array(colour) * step
    frame = decode(png(levels))
    assert frame.shape == (7, 9, 3)
    assert frame.dtype == np.uint8
    assert frame.flags.c_contiguous
    expected = np.array((blue,) * 3 if channels == 1 else (blue, green, red), float)
    if channels == 4:  # it is laid on white
        expected += (255 - expected) * (1 - 128 / 255)
    assert np.abs(frame.astype(int) - expected).max() <= 1
    assert_sensible(frame, None)


PILLOW_MODES = {"1": "PNG", "L": "PNG", "LA": "PNG", "P": "PNG", "I;16": "PNG", "RGBA": "WEBP", "CMYK": "JPEG"}


@pytest.mark.parametrize(("mode", "kind"), [*PILLOW_MODES.items(), ("L", "JPEG"), ("L", "BMP"), ("RGB", "WEBP")])
@pytest.mark.parametrize("orientation", [1, 6])
def test_every_kind_of_picture_becomes_bgr(mode: str, kind: str, orientation: int) -> None:
    file = io.BytesIO()
    Image.new(mode, (40, 30), 0).save(file, kind)
    frame = decode(file.getvalue(), orientation)
    assert frame.shape == ((30, 40, 3) if orientation == 1 else (40, 30, 3))
    assert frame.dtype == np.uint8
    assert frame.flags.c_contiguous
    assert_sensible(frame, None)


def test_the_same_picture_gives_the_same_answer() -> None:
    frame, before = photograph("dog.jpg"), photograph("dog.jpg")[:, ::-1].copy()
    answers = [
        (
            read_codes(frame, CodesParams()),
            find_markers(frame, MARKERS),
            measure_quality(frame, QualityParams(), before),
            detect_motion(frame, MotionParams(), before),
        )
        for _ in range(3)
    ]
    assert all(one == other for one, other in itertools.pairwise(answers))
