"""Markers drawn by a camera that is known: where they are comes back, within stated bounds."""

import dataclasses
from typing import Any, get_args

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from pivision.operations.markers import Dictionary, Marker, MarkersParams, Pose
from pivision.vision.frame import Frame
from pivision.vision.markers import find_markers
from tests.vision.conftest import photograph

Array = npt.NDArray[np.float64]

SIDE_METRES = 0.1
CAMERA = ((500.0, 0.0, 210.0), (0.0, 520.0, 150.0), (0.0, 0.0, 1.0))  # of a picture of 400 x 300
WIDTH_PX, HEIGHT_PX = 400, 300
DISTORTION = (-0.25, 0.08, 0.002, -0.003, 0.01)  # k1, k2, p1, p2, k3: the barrel of a cheap wide-angle lens

CORNER_BOUND_PX = 1.0
DISTANCE_BOUND = 0.02  # of the distance
SIDEWAYS_BOUND = 0.005  # of the distance
ANGLE_BOUND_DEGREES = (
    3.0  # of markers that are tilted; facing the camera, a pixel's error is an angle of several degrees
)

# The cells within the black border of the first tags, row by row from the top left, white as 1: as the families'
# authors publish them, https://github.com/AprilRobotics/apriltag
APRILTAGS = {
    "APRILTAG_16h5": (0x231B, 0x2EA5, 0x346A),
    "APRILTAG_25h9": (0x155CBF1, 0x1E4D1B6, 0x17B0B68),
    "APRILTAG_36h10": (0x1CA92A687, 0x20521AC4C),
    "APRILTAG_36h11": (0xD5D628584, 0xD97F18B49, 0xDD280910E),
}


@dataclasses.dataclass(frozen=True)
class Placed:
    """A marker at a known place: how it is turned (a matrix) and where its middle is, in the camera's axes."""

    dictionary: str
    id: int
    turn: Array
    place_metres: Array


def cells(dictionary: str, marker_id: int) -> Frame:
    """A marker upright with its black border, a pixel for each cell."""
    if dictionary in APRILTAGS:
        code, cells_px = APRILTAGS[dictionary][marker_id], {"1": 4, "2": 5, "3": 6}[dictionary.split("_")[1][0]]
        inside = np.array([code >> n & 1 for n in reversed(range(cells_px**2))], np.uint8).reshape(cells_px, cells_px)
        return np.pad(inside * np.uint8(255), 1)
    aruco: Any = cv2.aruco
    known = aruco.getPredefinedDictionary(getattr(aruco, f"DICT_{dictionary}"))
    draw = aruco.generateImageMarker if hasattr(aruco, "generateImageMarker") else aruco.drawMarker  # before 4.7
    return np.asarray(draw(known, marker_id, known.markerSize + 2), np.uint8)


def turned(tilt: float, swing: float, roll: float) -> Array:
    """How a marker is turned, in degrees around the camera's x, y and z; without any it is upright and faces it."""
    rotations = [cv2.Rodrigues(np.radians(axis))[0] for axis in np.diag([tilt, swing, roll]).astype(float)]
    return np.asarray(rotations[2] @ rotations[1] @ rotations[0] @ np.diag([1.0, -1.0, -1.0]))


def undistorted(x: Array, y: Array, distortion: tuple[float, ...]) -> tuple[Array, Array]:
    """The lens undone by fixed-point iteration, written here so that OpenCV's is not tested against itself."""
    if not distortion:
        return x, y
    k1, k2, p1, p2, k3 = distortion
    ideal_x, ideal_y = x, y
    for _ in range(12):
        r2 = ideal_x**2 + ideal_y**2
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        shift_x = 2 * p1 * ideal_x * ideal_y + p2 * (r2 + 2 * ideal_x**2)
        shift_y = p1 * (r2 + 2 * ideal_y**2) + 2 * p2 * ideal_x * ideal_y
        ideal_x, ideal_y = (x - shift_x) / radial, (y - shift_y) / radial
    return ideal_x, ideal_y


def seen(*markers: Placed, distortion: tuple[float, ...] = (), noise: float = 3) -> Frame:
    """What the camera sees of markers on white paper before grey: each ray of 3 x 3 in a pixel meets the paper."""
    rays = 3
    picture = np.full((HEIGHT_PX * rays, WIDTH_PX * rays), 150, np.uint8)
    for marker in markers:
        corners = expected_corners(marker, distortion)
        margin = np.ptp(corners, axis=0).max() / 2  # for the paper around it
        left, top = np.clip((corners.min(axis=0) - margin) * rays, 0, None).astype(int)
        right, bottom = np.clip((corners.max(axis=0) + margin) * rays, 0, picture.shape[::-1]).astype(int)
        u, v = np.meshgrid(*((np.arange(*ends) + 0.5) / rays - 0.5 for ends in ((left, right), (top, bottom))))
        (fx, _, cx), (_, fy, cy), _ = CAMERA
        x, y = undistorted((u - cx) / fx, (v - cy) / fy, distortion)
        paper = np.pad(cells(marker.dictionary, marker.id), 1, constant_values=255)
        to_camera = np.column_stack([marker.turn[:, 0], marker.turn[:, 1], marker.place_metres])
        on_paper = np.einsum("ij,jhw->ihw", np.linalg.inv(to_camera), np.stack([x, y, np.ones_like(x)]))
        cell_metres = SIDE_METRES / (len(paper) - 2)
        column = np.floor(on_paper[0] / on_paper[2] / cell_metres + len(paper) / 2).astype(int)
        row = np.floor(-on_paper[1] / on_paper[2] / cell_metres + len(paper) / 2).astype(int)
        hit = (column >= 0) & (column < len(paper)) & (row >= 0) & (row < len(paper)) & (on_paper[2] > 0)
        picture[top:bottom, left:right][hit] = paper[row[hit], column[hit]]
    grey = cv2.GaussianBlur(cv2.resize(picture, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA), (0, 0), 0.6)
    grey = np.clip(grey + np.random.default_rng(5).normal(0, noise, grey.shape), 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)


def expected_corners(marker: Placed, distortion: tuple[float, ...] = ()) -> Array:
    """Top left, top right, bottom right, bottom left of the marker itself, by the camera's equation."""
    half = SIDE_METRES / 2
    own = np.array([[-half, half, 0], [half, half, 0], [half, -half, 0], [-half, -half, 0]])
    points = own @ marker.turn.T + marker.place_metres
    x, y = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
    k1, k2, p1, p2, k3 = distortion or (0.0,) * 5
    r2 = x**2 + y**2
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    bent_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2)
    bent_y = y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y
    (fx, _, cx), (_, fy, cy), _ = CAMERA
    return np.column_stack([fx * bent_x + cx, fy * bent_y + cy])


def camera(dictionaries: tuple[Any, ...], distortion: tuple[float, ...] = ()) -> MarkersParams:
    return MarkersParams(dictionaries, CAMERA, distortion, SIDE_METRES)


def assert_corners(found: Marker, placed: Placed, distortion: tuple[float, ...] = ()) -> None:
    corners = np.array([(corner.x, corner.y) for corner in found.corners])
    assert np.abs(corners - expected_corners(placed, distortion)).max() <= CORNER_BOUND_PX


def angle_between(pose: Pose, turn: Array) -> float:
    """How far a pose is turned from `turn`, in degrees."""
    rotation = pose.rotation_degrees
    found = np.asarray(cv2.Rodrigues(np.radians([rotation.x, rotation.y, rotation.z]))[0])
    return float(np.degrees(np.arccos(np.clip((np.trace(found @ turn.T) - 1) / 2, -1, 1))))


def assert_pose(found: Marker, placed: Placed) -> None:
    assert found.pose is not None
    place, distance = found.pose.translation_metres, float(placed.place_metres[2])
    assert abs(place.x - placed.place_metres[0]) <= SIDEWAYS_BOUND * distance
    assert abs(place.y - placed.place_metres[1]) <= SIDEWAYS_BOUND * distance
    assert abs(place.z - distance) <= DISTANCE_BOUND * distance
    assert found.pose.reprojection_error_px < CORNER_BOUND_PX
    assert angle_between(found.pose, placed.turn) <= ANGLE_BOUND_DEGREES


@pytest.mark.parametrize("dictionary", get_args(Dictionary))
def test_every_dictionary(dictionary: str) -> None:
    for marker_id in (0, 1):
        marker = Placed(dictionary, marker_id, turned(35, -20, 10), np.array([0.02, -0.01, 0.45]))
        (found,) = find_markers(seen(marker), camera((dictionary,))).markers
        assert (found.dictionary, found.id) == (dictionary, marker_id)
        assert_corners(found, marker)
        assert_pose(found, marker)


@pytest.mark.parametrize("distortion", [(), DISTORTION])
@pytest.mark.parametrize("tilt_degrees", [-50, -30, 30, 50])
@pytest.mark.parametrize("distance_metres", [0.4, 0.6, 0.9])
def test_poses(distance_metres: float, tilt_degrees: float, distortion: tuple[float, ...]) -> None:
    place = np.array([-0.08, 0.05, 1]) * distance_metres
    for swing, roll in ((15, 0), (-25, 70), (5, -160)):
        marker = Placed("5X5_50", 13, turned(tilt_degrees, swing, roll), place)
        (found,) = find_markers(seen(marker, distortion=distortion), camera(("5X5_50",), distortion)).markers
        assert_corners(found, marker, distortion)
        assert_pose(found, marker)


def test_a_lens_that_is_not_told_of_moves_the_marker() -> None:
    marker = Placed("5X5_50", 13, turned(30, 0, 0), np.array([0.13, 0.08, 0.5]))
    frame = seen(marker, distortion=DISTORTION)
    (told,) = find_markers(frame, camera(("5X5_50",), DISTORTION)).markers
    (untold,) = find_markers(frame, camera(("5X5_50",))).markers
    assert_pose(told, marker)
    assert untold.pose is not None
    assert abs(untold.pose.translation_metres.z - 0.5) > 2 * DISTANCE_BOUND * 0.5


@pytest.mark.parametrize("roll_degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("dictionary", ["4X4_50", "APRILTAG_16h5", "APRILTAG_25h9", "APRILTAG_36h10", "APRILTAG_36h11"])
def test_corners_follow_the_marker_however_it_is_turned(dictionary: str, roll_degrees: int) -> None:
    half = len(drawn := np.kron(cells(dictionary, 1), np.ones((12, 12), np.uint8))) / 2
    paper = np.full((240, 240), 255, np.uint8)
    paper[40 : 40 + len(drawn), 70 : 70 + len(drawn)] = drawn
    turns = roll_degrees // 90
    frame = np.ascontiguousarray(np.rot90(np.repeat(paper[:, :, np.newaxis], 3, axis=2), -turns))  # clockwise
    (found,) = find_markers(frame, MarkersParams((dictionary,))).markers  # type: ignore[arg-type]
    middle = 119.5
    offset = np.array([70 + half - 0.5 - middle, 40 + half - 0.5 - middle])
    quarter = np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), turns)  # x right, y down: clockwise
    own = (np.array([[-half, -half], [half, -half], [half, half], [-half, half]]) + offset) @ quarter.T + middle
    assert np.abs(np.array([(corner.x, corner.y) for corner in found.corners]) - own).max() <= CORNER_BOUND_PX
    assert found.pose is None


def test_facing_the_camera() -> None:
    """Two poses look nearly alike then: the place is as sure as ever, the angle is not, and not asked for here."""
    marker = Placed("6X6_250", 200, turned(0, 0, 0), np.array([0.0, 0.0, 0.5]))
    (found,) = find_markers(seen(marker), camera(("6X6_250",))).markers
    assert found.pose is not None
    assert abs(found.pose.translation_metres.z - 0.5) <= DISTANCE_BOUND * 0.5
    assert angle_between(found.pose, marker.turn) < 15
    around_x = found.pose.rotation_degrees.x
    assert abs(abs(around_x) - 180) < 15  # half a turn around x: the marker's y is up, the camera's down


def test_several_come_by_dictionary_then_by_id() -> None:
    places = {
        ("APRILTAG_36h11", 2): (-0.12, -0.08),
        ("4X4_50", 9): (0.1, 0.07),
        ("4X4_50", 3): (-0.12, 0.07),
        ("6X6_100", 77): (0.1, -0.08),
    }
    markers = {
        key: Placed(*key, turned(25, 20, 30 * n), np.array([*place, 0.7]))
        for n, (key, place) in enumerate(places.items())
    }
    params = camera(("6X6_100", "4X4_50", "APRILTAG_36h11", "4X4_50"))
    found = find_markers(seen(*markers.values()), params).markers
    order = [("6X6_100", 77), ("4X4_50", 3), ("4X4_50", 9), ("APRILTAG_36h11", 2)]
    assert [(marker.dictionary, marker.id) for marker in found] == order
    for marker in found:
        assert_corners(marker, markers[marker.dictionary, marker.id])
        assert_pose(marker, markers[marker.dictionary, marker.id])


def test_only_the_wanted_dictionaries() -> None:
    frame = seen(Placed("7X7_50", 4, turned(20, 0, 0), np.array([0.0, 0.0, 0.5])))
    assert find_markers(frame, MarkersParams()).markers == ()
    assert len(find_markers(frame, MarkersParams(("7X7_50", "7X7_100"))).markers) == 2  # it belongs to both


@pytest.mark.parametrize("name", ["astronaut.jpg", "dog.jpg", "person.jpg"])
def test_in_a_photograph_there_is_none(name: str) -> None:
    assert find_markers(photograph(name), MarkersParams()).markers == ()
    assert find_markers(photograph(name), MarkersParams(("7X7_1000", "APRILTAG_36h10", "ARUCO_ORIGINAL"))).markers == ()


@pytest.mark.parametrize(
    "params",
    [
        MarkersParams(("4X4_50",), ((1e-9, 0, 0), (0, 1e-9, 0), (0, 0, 1)), (), 1),
        MarkersParams(("4X4_50",), ((1e150, 0, 0), (0, 1e150, 0), (0, 0, 1)), (), 1e-300),
        MarkersParams(("4X4_50",), ((1.0, 0, 1e9), (0, 1.0, -1e9), (0, 0, 1)), (), 1000),
        MarkersParams(("4X4_50",), CAMERA, (1e6, -1e9, 1e6, 1e6), 0.1),
        MarkersParams(("4X4_50",), CAMERA, (0.1,) * 14, 0.1),
    ],
)
def test_a_camera_that_cannot_be_gives_no_number_that_json_has_not(params: MarkersParams) -> None:
    marker = Placed("4X4_50", 1, turned(30, 0, 0), np.array([0.0, 0.0, 0.5]))
    (found,) = find_markers(seen(marker), params).markers
    if found.pose is not None:
        place, rotation = found.pose.translation_metres, found.pose.rotation_degrees
        values = (place.x, place.y, place.z, rotation.x, rotation.y, rotation.z, found.pose.reprojection_error_px)
        assert np.isfinite(values).all()
        assert place.z > 0
