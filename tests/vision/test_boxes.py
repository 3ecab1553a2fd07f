"""Boxes that overlap, boxes that leave the picture, and letterboxes: worked out by hand, and for any size."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivision.operations.geometry import Box
from pivision.vision import boxes, letterbox
from pivision.vision.boxes import Candidates
from pivision.vision.frame import Frame
from tests.vision.networks import Edges, assert_within

LEFT, SHIFTED, RIGHT = (0, 0, 100, 100), (10, 0, 110, 100), (200, 0, 300, 100)  # IoU of the first two: 90 / 110


def candidates(*found: tuple[int, float, Edges]) -> Candidates:
    classes, scores, edges = zip(*found, strict=True) if found else ((), (), ())
    return Candidates(np.array(edges, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(classes, int))


def blank(width_px: int, height_px: int) -> Frame:
    return np.zeros((height_px, width_px, 3), np.uint8)


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ([], []),
        ([(0, 0.5, LEFT)], [0]),
        ([(0, 0.5, LEFT), (0, 0.9, SHIFTED)], [1]),  # of the same class the surer one
        ([(0, 0.5, LEFT), (7, 0.9, SHIFTED)], [1, 0]),  # of two classes both
        ([(0, 0.5, LEFT), (79, 0.9, LEFT)], [1, 0]),
        ([(0, 0.5, LEFT), (0, 0.9, RIGHT)], [1, 0]),
        ([(3, 0.5, LEFT), (3, 0.7, RIGHT), (3, 0.6, SHIFTED)], [1, 2]),
    ],
)
def test_of_overlapping_boxes_of_one_class_the_surest_stays(
    found: list[tuple[int, float, Edges]], kept: list[int]
) -> None:
    assert boxes.without_overlap(candidates(*found), 0.6).tolist() == kept


def test_less_overlap_than_allowed_is_none() -> None:
    found = candidates((0, 0.9, LEFT), (0, 0.5, SHIFTED))
    assert boxes.without_overlap(found, 0.81).tolist() == [0]
    assert boxes.without_overlap(found, 0.82).tolist() == [0, 1]


def test_of_very_many_boxes_the_thousand_surest_stay() -> None:
    scores = np.random.default_rng(1).permutation(1500) + 1
    apart = np.arange(1500)[:, np.newaxis] * 20 + np.array((0, 0, 10, 10))
    kept = boxes.without_overlap(Candidates(apart.astype(float), scores / 1500, np.zeros(1500, int)), 0.5)
    assert scores[kept].tolist() == list(range(1500, 500, -1))


def test_which_cells_are_sure_of_which_class() -> None:
    scores = np.array([[0.1, 0.8], [0.5, 0.6], [0.2, 0.3]], np.float32)
    assert pairs(boxes.sure(scores, None, 0.5)) == {(0, 1), (1, 0), (1, 1)}
    assert pairs(boxes.sure(scores, [1], 0.55)) == {(0, 1), (1, 1)}
    assert pairs(boxes.sure(scores, [], 0.0)) == set()
    assert pairs(boxes.sure(scores, None, 0.9)) == set()


def pairs(found: tuple[boxes.Indices, boxes.Indices]) -> set[tuple[int, int]]:
    return set(zip(found[0].tolist(), found[1].tolist(), strict=True))


def test_of_very_many_the_surest_count() -> None:
    scores = np.random.default_rng(1).permutation(5000).reshape(100, 50) / np.float32(5000)
    cells, classes = boxes.sure(scores, None, 0.0)
    assert set(scores[cells, classes].tolist()) == set((np.arange(4000, 5000) / np.float32(5000)).tolist())


@pytest.mark.parametrize(
    ("edges", "box"),
    [
        ((10, 20, 40, 45), Box(10, 20, 30, 25)),
        ((-5, -5, 5, 5), Box(0, 0, 5, 5)),
        ((90, 40, 200, 300), Box(90, 40, 10, 10)),
        ((-1e9, -1e9, 1e9, 1e9), Box(0, 0, 100, 50)),
        ((-20, 0, -10, 50), None),  # beside the picture
        ((100, 0, 120, 50), None),
        ((30, 30, 30, 40), None),  # of no width
        ((30, 30, 30.01, 40), None),
        ((40, 40, 30, 50), None),
        ((float("nan"), 0, 10, 10), None),
    ],
)
def test_boxes_are_cut_to_the_picture(edges: Edges, box: Box | None) -> None:
    assert boxes.within(blank(100, 50), np.array([edges])) == [box]


COORDINATE = st.floats(-500, 500, width=32)


@given(st.integers(1, 300), st.integers(1, 300), st.tuples(COORDINATE, COORDINATE, COORDINATE, COORDINATE))
def test_no_box_leaves_the_picture(width_px: int, height_px: int, edges: Edges) -> None:
    frame = blank(width_px, height_px)
    (box,) = boxes.within(frame, np.array([edges]))
    if box is not None:
        assert_within(frame, box)
        near = np.clip(edges, 0, (width_px, height_px, width_px, height_px))
        assert (box.x, box.y) == pytest.approx(near[:2], abs=1 / 16)
        assert (box.x + box.width, box.y + box.height) == pytest.approx(near[2:], abs=1 / 16)


def test_a_wide_picture_lies_in_the_middle_between_two_bars() -> None:
    canvas, placement = letterbox.square(np.full((100, 200, 3), 255, np.uint8), 64, fill=7, is_centred=True)
    assert canvas.shape == (64, 64, 3)
    assert np.unique(canvas[:16]).tolist() == np.unique(canvas[48:]).tolist() == [7]
    assert np.unique(canvas[16:48]).tolist() == [255]
    assert placement.on_frame((0, 16)).tolist() == [0, 0]
    assert placement.on_frame((64, 48)).tolist() == [200, 100]
    assert placement.on_canvas((100, 50)).tolist() == [32, 32]


def test_a_tall_picture_lies_at_the_top_left() -> None:
    canvas, placement = letterbox.square(np.full((200, 100, 3), 255, np.uint8), 64, fill=114, is_centred=False)
    assert np.unique(canvas[:, 32:]).tolist() == [114]
    assert np.unique(canvas[:, :32]).tolist() == [255]
    assert placement.on_frame((32, 64)).tolist() == [100, 200]


@pytest.mark.parametrize(
    ("size_px", "max_side_px", "canvas_px"),
    [
        ((1, 1), 640, (64, 64)),
        ((32, 96), 640, (64, 96)),
        ((33, 64), 640, (64, 64)),
        ((1280, 720), 640, (640, 384)),  # 640 x 360
        ((5000, 1), 640, (640, 64)),
        ((1, 5000), 100, (64, 128)),
    ],
)
def test_sides_are_padded_to_a_multiple(size_px: tuple[int, int], max_side_px: int, canvas_px: tuple[int, int]) -> None:
    canvas, _placement = letterbox.padded(blank(*size_px), max_side_px, multiple_px=32, least_px=64)
    assert canvas.shape[1::-1] == canvas_px


SIDE = st.integers(1, 400)


@given(SIDE, SIDE, st.integers(1, 8).map(lambda count: count * 32), st.booleans(), st.floats(0, 1), st.floats(0, 1))
def test_a_point_finds_its_way_to_the_canvas_and_back(
    width_px: int, height_px: int, side_px: int, is_centred: bool, x: float, y: float
) -> None:
    frame, point = blank(width_px, height_px), (x * width_px, y * height_px)
    for canvas, placement in (
        letterbox.square(frame, side_px, fill=0, is_centred=is_centred),
        letterbox.padded(frame, side_px, multiple_px=32, least_px=32),
    ):
        there = placement.on_canvas(point)
        assert (there >= 0).all()
        assert (there <= np.array(canvas.shape[1::-1]) + 1e-9).all()
        assert placement.on_frame(there) == pytest.approx(point)


@given(st.integers(20, 200), st.integers(20, 200), st.booleans())
def test_a_point_lies_where_the_picture_shows_it(width_px: int, height_px: int, is_centred: bool) -> None:
    frame = blank(width_px, height_px)
    left, top, right, bottom = width_px // 4, height_px // 4, width_px // 2 + 2, height_px // 2 + 2
    cv2.rectangle(frame, (left, top), (right - 1, bottom - 1), (255, 255, 255), cv2.FILLED)
    canvas, placement = letterbox.square(frame, 256, fill=0, is_centred=is_centred)
    x, y, width, height = cv2.boundingRect((canvas[:, :, 0] > 127).astype(np.uint8))
    shown = (x, y, x + width, y + height)
    assert shown == pytest.approx(placement.on_canvas(((left, top), (right, bottom))).ravel(), abs=1.01)
