"""Faces are found where people see them, as YuNet's own pipeline finds them, and in pictures of any size."""

import math
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivision.errors import ModelMissing
from pivision.operations.faces import Face, FacesParams, FacesResult
from pivision.operations.geometry import Point
from pivision.vision import opencv
from pivision.vision.faces import find_faces
from pivision.vision.frame import Frame
from pivision.vision.network import Floats
from tests.vision.conftest import photograph
from tests.vision.networks import FORWARDS, Edges, Forward, assert_within, edges, iou, network, noise, suppressed

DEFAULTS = FacesParams()
ASTRONAUT: Edges = (178, 60, 270, 178)  # drawn around her face by hand, from the hairline to the chin
EYES = ((201, 101), (247, 101))  # her right one and her left one; she looks at us

Found = tuple[Edges, float, list[tuple[float, float]]]  # box, score, landmarks in the contract's order


def faces(frame: Frame, params: FacesParams = DEFAULTS) -> tuple[Face, ...]:
    return find_faces(frame, params, network("yunet")).faces


def landmarks(face: Face) -> list[Point]:
    assert face.landmarks is not None
    return list(msgspec.structs.astuple(face.landmarks))


def assert_alike(face: Face, other: Found, tolerance_px: float = 3) -> None:
    assert iou(edges(face.box), other[0]) >= 0.9
    assert face.score == pytest.approx(other[1], abs=0.02)
    for point, there in zip(landmarks(face), other[2], strict=True):
        assert (point.x, point.y) == pytest.approx(there, abs=tolerance_px)


def test_a_face_is_where_people_see_it() -> None:
    result = find_faces(photograph("astronaut.jpg"), DEFAULTS, network("yunet"))
    assert result.model == "yunet"
    (face,) = result.faces
    assert iou(edges(face.box), ASTRONAUT) > 0.8
    assert face.score is not None
    assert face.score > 0.9


def test_landmarks_are_where_people_see_them() -> None:
    (face,) = faces(photograph("astronaut.jpg"))
    right_eye, left_eye, nose, right_mouth, left_mouth = landmarks(face)
    assert (right_eye.x, right_eye.y) == pytest.approx(EYES[0], abs=8)
    assert (left_eye.x, left_eye.y) == pytest.approx(EYES[1], abs=8)
    assert right_eye.x < nose.x < left_eye.x
    assert right_mouth.x < left_mouth.x
    assert max(right_eye.y, left_eye.y) < nose.y < min(right_mouth.y, left_mouth.y)
    left, top, right, bottom = edges(face.box)
    assert all(left < point.x < right and top < point.y < bottom for point in landmarks(face))


@pytest.mark.parametrize("name", ["dog.jpg", "person.jpg"])
def test_no_face_is_no_error(name: str) -> None:
    assert faces(photograph(name)) == ()  # the person has turned the back


def test_every_face_is_found_the_surest_first() -> None:
    one = photograph("astronaut.jpg")
    blurred = np.asarray(cv2.GaussianBlur(one, (0, 0), 6), np.uint8)
    three = np.concatenate((one, one[:, ::-1], blurred), axis=1)
    found = faces(three, FacesParams(max_side_px=1536))
    assert len(found) == 3
    scores = [face.score for face in found if face.score is not None]
    assert scores == sorted(scores, reverse=True)
    assert found[2].box.x > 1024  # the blurred one
    left, top, right, bottom = ASTRONAUT
    mirrored: Edges = (1024 - right, top, 1024 - left, bottom)
    assert max(iou(edges(face.box), mirrored) for face in found) > 0.8


def test_a_larger_max_side_finds_smaller_faces() -> None:
    small = cv2.resize(photograph("astronaut.jpg"), (160, 160), interpolation=cv2.INTER_AREA)
    frame = np.full((1200, 1600, 3), 128, np.uint8)
    frame[700:860, 900:1060] = small
    assert faces(frame, FacesParams(max_side_px=320)) == ()  # a face of 6 pixels
    (face,) = faces(frame, FacesParams(max_side_px=1600))
    expected = tuple(edge * 160 / 512 + offset for edge, offset in zip(ASTRONAUT, (900, 700, 900, 700), strict=True))
    assert iou(edges(face.box), expected) > 0.7  # type: ignore[arg-type]  # a generator forgets its length


def test_less_sure_faces_are_left_out() -> None:
    frame = photograph("astronaut.jpg")
    (face,) = faces(frame)
    assert face.score is not None
    assert faces(frame, FacesParams(min_score=face.score - 0.001)) == (face,)
    assert faces(frame, FacesParams(min_score=face.score + 0.001)) == ()


def test_a_face_cut_by_the_edge_stays_in_the_picture() -> None:
    frame = np.ascontiguousarray(photograph("astronaut.jpg")[:, 215:])
    (face,) = faces(frame, FacesParams(min_score=0.3))
    assert_within(frame, face.box)
    assert face.box.x == 0
    assert face.box.width < 70


def test_a_face_is_found_in_a_very_small_picture() -> None:
    frame = np.asarray(cv2.resize(photograph("astronaut.jpg")[40:200, 140:300], (40, 40)), np.uint8)
    (face,) = faces(frame)
    left, top, right, bottom = ASTRONAUT
    assert iou(edges(face.box), ((left - 140) / 4, (top - 40) / 4, (right - 140) / 4, (bottom - 40) / 4)) > 0.6


@pytest.mark.parametrize(("width_px", "height_px"), [(1, 1), (16, 16), (32, 32), (20, 300), (300, 20)])
def test_there_are_no_faces_in_noise_however_small(width_px: int, height_px: int) -> None:
    """OpenCV 4.14 supposes faces of any size in a canvas of 32 pixels' width, depending on what its memory held."""
    for seed in range(10):
        faces(photograph("astronaut.jpg"))
        assert faces(noise(width_px, height_px, seed), FacesParams(min_score=0.5)) == ()


# The references


def plain(file: Path, frame: Frame, forward: Forward) -> list[Found]:
    """YuNet as its paper has it, on a frame whose sides need no scaling: one cell after the other."""
    height_px, width_px = (math.ceil(side / 32) * 32 for side in frame.shape[:2])
    canvas = cv2.copyMakeBorder(
        frame, 0, height_px - frame.shape[0], 0, width_px - frame.shape[1], cv2.BORDER_CONSTANT, value=(0, 0, 0)
    )
    outputs = forward(file, np.ascontiguousarray(canvas.astype(np.float32).transpose(2, 0, 1)[np.newaxis]))
    found: list[tuple[int, float, Edges]] = []
    points: dict[Edges, list[tuple[float, float]]] = {}
    for stride in (8, 16, 32):
        cls, obj, bbox, kps = (outputs[f"{name}_{stride}"][0] for name in ("cls", "obj", "bbox", "kps"))
        for cell in range(len(cls)):
            score = math.sqrt(min(1, max(0, cls[cell, 0])) * min(1, max(0, obj[cell, 0])))
            if score < DEFAULTS.min_score:
                continue
            row, column = divmod(cell, width_px // stride)
            x, y = (column + bbox[cell, 0]) * stride, (row + bbox[cell, 1]) * stride
            width, height = math.exp(bbox[cell, 2]) * stride, math.exp(bbox[cell, 3]) * stride
            box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            found.append((0, score, box))
            points[box] = [
                ((column + kps[cell, 2 * n]) * stride, (row + kps[cell, 2 * n + 1]) * stride) for n in range(5)
            ]
    return [(box, score, points[box]) for _, score, box in suppressed(found, 0.3)]


@pytest.mark.parametrize("forward", FORWARDS)
def test_faces_are_those_of_a_plain_reference(forward: Forward) -> None:
    """Sides of 630 and 610: a canvas of 640 x 640, the only one that the file knows for ONNX Runtime."""
    frame = photograph("astronaut.jpg")
    frame = np.asarray(cv2.resize(np.concatenate((frame[:, :300], frame[:, 150:]), axis=1), (630, 610)), np.uint8)
    expected = plain(network("yunet").installed.path, frame, forward)
    found = faces(frame)
    assert len(found) == len(expected) == 2
    for face, other in zip(found, expected, strict=True):
        assert_alike(face, other)


def by_opencvs_own(file: Path, frame: Frame) -> list[Found]:
    detector = cv2.FaceDetectorYN.create(str(file), "", frame.shape[1::-1], DEFAULTS.min_score, 0.3)
    _, rows = detector.detect(frame)
    table: Floats = np.empty((0, 15), np.float32) if rows is None else np.asarray(rows, np.float32)
    return [
        ((x, y, x + width, y + height), row[14], list(zip(row[4:14:2], row[5:14:2], strict=True)))
        for x, y, width, height, *_, row in ((*row[:4], row) for row in table.tolist())
    ]


KNOWS_THIS_FILE = tuple(int(part) for part in cv2.__version__.split(".")[:2]) >= (4, 8)


@pytest.mark.parametrize(("width_px", "height_px"), [(471, 333), (512, 512), (333, 500), (201, 199)])
def test_faces_are_those_of_opencvs_own_detector(width_px: int, height_px: int) -> None:
    """Before 4.8, FaceDetectorYN expects other outputs: there the plain reference stands for it."""
    frame = np.ascontiguousarray(photograph("astronaut.jpg")[:height_px, 100 : 100 + width_px])
    file, copy = network("yunet").installed.path, np.ascontiguousarray(frame)
    expected = by_opencvs_own(file, copy) if KNOWS_THIS_FILE else plain(file, copy, FORWARDS[0])
    (face,) = faces(frame)
    assert len(expected) == 1
    assert_alike(face, expected[0])


def test_a_picture_that_is_scaled_down_gives_the_same_face() -> None:
    frame = photograph("astronaut.jpg")
    (face,) = faces(np.asarray(cv2.resize(frame, (1500, 1400), interpolation=cv2.INTER_CUBIC), np.uint8))
    left, top, right, bottom = ASTRONAUT
    scale_x, scale_y = 1500 / 512, 1400 / 512
    assert iou(edges(face.box), (left * scale_x, top * scale_y, right * scale_x, bottom * scale_y)) > 0.8


@settings(max_examples=25)
@given(
    st.integers(1, 700),
    st.integers(1, 500),
    st.integers(0, 1 << 32),
    st.sampled_from((0.0, 0.1, 0.7)),
    st.sampled_from((64, 100, 640)),
)
def test_any_picture_has_an_answer(width_px: int, height_px: int, seed: int, score: float, max_side_px: int) -> None:
    frame = noise(width_px, height_px, seed)
    result = find_faces(frame, FacesParams(min_score=score, max_side_px=max_side_px), network("yunet"))
    assert msgspec.convert(msgspec.to_builtins(result), FacesResult) == result
    for face in result.faces:
        assert_within(frame, face.box)


# Without a model


def test_a_cascade_stands_in_where_opencv_has_one() -> None:
    frame = photograph("astronaut.jpg")
    if opencv.face_cascade() is None:
        with pytest.raises(ModelMissing, match="models install faces"):
            find_faces(frame, DEFAULTS, None)
        return
    result = find_faces(frame, DEFAULTS, None)
    assert result.model == "haar"
    (face,) = result.faces
    assert iou(edges(face.box), ASTRONAUT) > 0.6  # it draws squares
    assert (face.score, face.landmarks) == (None, None)
    two = np.concatenate((frame, np.asarray(cv2.resize(frame, (1024, 1024)), np.uint8)[:512, :1024]), axis=1)
    small, large = sorted(face.box.width for face in find_faces(two, FacesParams(max_side_px=1536), None).faces)
    assert large == pytest.approx(2 * small, rel=0.2)
    assert find_faces(two, FacesParams(max_side_px=1536), None).faces[0].box.width == large


@pytest.mark.parametrize(("width_px", "height_px"), [(1, 1), (1, 300), (700, 2), (23, 23), (65, 129)])
def test_the_cascade_answers_for_any_size(width_px: int, height_px: int) -> None:
    frame = noise(width_px, height_px, 1)
    if opencv.face_cascade() is None:
        with pytest.raises(ModelMissing):
            find_faces(frame, DEFAULTS, None)
    else:
        assert find_faces(frame, DEFAULTS, None).faces == ()
