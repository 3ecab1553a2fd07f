"""Motion between pictures that were drawn here: what moved where, and in which light, is known."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from pivision.operations.geometry import Box
from pivision.operations.motion import MotionParams, MotionResult
from pivision.vision.frame import Frame
from pivision.vision.motion import detect_motion
from tests.vision.conftest import photograph
from tests.vision.networks import edges, iou

DEFAULTS = MotionParams()
PHOTOGRAPHS = ["astronaut.jpg", "dog.jpg", "person.jpg"]
IOU_BOUND = 0.75
Scene = npt.NDArray[np.float64]
Place = tuple[int, int, int, int]  # left, top, width, height


def taken(scene: Scene, seed: int, noise: float = 4) -> Frame:
    """What a sensor makes of a scene: noise, and nothing below black or above white."""
    return np.clip(scene + np.random.default_rng(seed).normal(0, noise, scene.shape), 0, 255).astype(np.uint8)


def wall(level: float = 110, width_px: int = 640, height_px: int = 480) -> Scene:
    return np.full((height_px, width_px, 3), level)


def outdoors(name: str) -> Scene:
    """A photograph, 480 pixels wide."""
    taken = photograph(name)
    size = (480, round(480 * taken.shape[0] / taken.shape[1]))
    return np.asarray(cv2.resize(taken, size, interpolation=cv2.INTER_AREA), np.float64)


def with_shape(scene: Scene, place: Place, level: float = 220) -> Scene:
    left, top, width, height = place
    scene = scene.copy()
    scene[top : top + height, left : left + width] = level
    return scene


def overlap(box: Box, place: Place) -> float:
    return iou(edges(box), edges(Box(*place)))


def assert_found(result: MotionResult, frame: Frame, *places: Place) -> None:
    assert result.is_compared
    assert len(result.boxes) == len(places)
    for place in places:
        assert max(overlap(box, place) for box in result.boxes) >= IOU_BOUND
    areas = [box.width * box.height for box in result.boxes]
    assert areas == sorted(areas, reverse=True)
    expected_area = sum(width * height for _, _, width, height in places) / (frame.shape[0] * frame.shape[1])
    assert result.changed_area == pytest.approx(expected_area, rel=0.25)
    assert 0.2 < result.score < 1


def assert_still(result: MotionResult) -> None:
    assert result == MotionResult(is_compared=True, score=0, changed_area=0, boxes=())


def test_a_shape_that_moves_changes_where_it_was_and_where_it_is() -> None:
    before, after = (50, 60, 90, 120), (400, 250, 90, 120)
    frame = taken(with_shape(wall(), after), 2)
    assert_found(detect_motion(frame, DEFAULTS, taken(with_shape(wall(), before), 1)), frame, before, after)


@pytest.mark.parametrize("level", [20, 60, 170, 250])
@pytest.mark.parametrize("place", [(0, 0, 100, 80), (540, 400, 100, 80), (300, 100, 40, 300), (100, 200, 400, 150)])
def test_a_shape_that_comes_or_goes(place: Place, level: float) -> None:
    empty, there = taken(wall(), 1), taken(with_shape(wall(), place, level), 2)
    assert_found(detect_motion(there, DEFAULTS, empty), there, place)
    assert_found(detect_motion(empty, DEFAULTS, there), empty, place)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_shape_before_a_photograph(name: str) -> None:
    scene = outdoors(name)
    place = (scene.shape[1] // 2, scene.shape[0] // 4, 120, 100)
    frame = taken(with_shape(scene, place, 255 if scene[90:190, 240:360].mean() < 128 else 0), 2)
    result = detect_motion(frame, DEFAULTS, taken(scene, 1))
    assert max(overlap(box, place) for box in result.boxes) >= IOU_BOUND


def slow(scene: Scene, across: float, down: float) -> Scene:
    """1 in the middle of a picture, rising to the right by `across` and to the bottom by `down`."""
    height, width = scene.shape[:2]
    gradient: Scene = (
        1 + across * np.linspace(-1, 1, width)[np.newaxis, :] + down * np.linspace(-1, 1, height)[:, np.newaxis]
    )
    return gradient[:, :, np.newaxis]


LIGHTS = {
    "the same": lambda scene: scene,
    "40 % more": lambda scene: scene * 1.4,
    "40 % less": lambda scene: scene * 0.6,
    "a veil": lambda scene: scene * 0.8 + 40,
    "blacker": lambda scene: scene - 30,
    "from the right": lambda scene: scene * slow(scene, 0.3, 0),
    "from above": lambda scene: scene * slow(scene, 0.1, -0.25),
    "glare": lambda scene: scene + 30 * slow(scene, 0.8, 0),
}


@pytest.mark.parametrize("light", LIGHTS)
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_another_light_is_no_motion(name: str, light: str) -> None:
    scene = outdoors(name)
    usual, other = taken(scene, 1), taken(LIGHTS[light](scene), 2)
    assert_still(detect_motion(other, DEFAULTS, usual))
    assert_still(detect_motion(usual, DEFAULTS, other))


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_light_that_is_switched_is_no_motion(name: str) -> None:
    scene = outdoors(name)
    dark, lit = taken(scene * 0.2, 1), taken(scene, 2)
    assert_still(detect_motion(dark, DEFAULTS, lit))
    assert_still(detect_motion(lit, DEFAULTS, dark))


@pytest.mark.parametrize("light", LIGHTS)
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_shape_is_found_in_another_light(name: str, light: str) -> None:
    scene = outdoors(name)
    place = (scene.shape[1] // 2, scene.shape[0] // 4, 120, 100)
    there = with_shape(scene, place, 255 if scene[90:190, 240:360].mean() < 128 else 0)
    result = detect_motion(taken(LIGHTS[light](there), 2), DEFAULTS, taken(scene, 1))
    assert max(overlap(box, place) for box in result.boxes) >= 0.6
    assert result.changed_area == pytest.approx(120 * 100 / (scene.shape[0] * scene.shape[1]), rel=0.4)


@pytest.mark.parametrize("light", LIGHTS)
def test_a_shape_before_a_wall_in_another_light(light: str) -> None:
    """An even wall tells nothing of the light's gain; what leaves must be found nevertheless."""
    place = (200, 150, 120, 90)
    gone = taken(LIGHTS[light](wall()), 2)
    result = detect_motion(gone, DEFAULTS, taken(with_shape(wall(), place), 1))
    assert_found(result, gone, place)


@pytest.mark.parametrize("noise", [0, 2, 5, 10, 15])
@pytest.mark.parametrize("size", [(640, 480), (320, 240), (1280, 720)])
def test_noise_is_no_motion(size: tuple[int, int], noise: float) -> None:
    scene = wall(128, *size)
    assert_still(detect_motion(taken(scene, 2, noise), DEFAULTS, taken(scene, 1, noise)))


def test_noise_beyond_the_threshold_is_no_motion_and_hides_none() -> None:
    fine, place = MotionParams(threshold_levels=2), (100, 80, 60, 60)
    scene = wall(128, 320, 240)
    before = taken(scene, 1, 6)
    assert_still(detect_motion(taken(scene, 2, 6), fine, before))
    there = taken(with_shape(scene, place, 160), 2, 6)
    assert_found(detect_motion(there, fine, before), there, place)


def test_without_one_before_nothing_is_compared() -> None:
    result = detect_motion(taken(wall(), 1), DEFAULTS, None)
    assert result == MotionResult(is_compared=False, score=0, changed_area=0, boxes=())


@pytest.mark.parametrize(
    ("size", "is_compared"),
    [((320, 240), True), ((1600, 1200), True), ((161, 120), True), ((640, 360), False), ((480, 640), False)],
)
def test_one_of_another_size(size: tuple[int, int], is_compared: bool) -> None:
    scene = outdoors("dog.jpg")  # 480 x 360: 4 to 3
    place = (250, 60, 100, 80)
    frame = taken(with_shape(scene, place), 2)
    before = np.asarray(cv2.resize(taken(scene, 1), size, interpolation=cv2.INTER_AREA), np.uint8)
    result = detect_motion(frame, DEFAULTS, before)
    assert result.is_compared == is_compared
    if is_compared:
        assert max(overlap(box, place) for box in result.boxes) >= 0.6
    else:
        assert result == MotionResult(is_compared=False, score=0, changed_area=0, boxes=())


def test_the_threshold_counts_levels() -> None:
    place = (200, 150, 150, 150)
    before, after = taken(wall(100), 1, 1), taken(with_shape(wall(100), place, 140), 2, 1)
    assert_still(detect_motion(after, MotionParams(threshold_levels=45), before))
    assert len(detect_motion(after, MotionParams(threshold_levels=35), before).boxes) == 1


def test_small_regions_are_left_out() -> None:
    small, large = (50, 50, 40, 40), (300, 200, 100, 100)  # 0.5 % and 3.3 % of the picture
    before, after = taken(wall(), 1), taken(with_shape(with_shape(wall(), small), large), 2)
    assert_found(detect_motion(after, MotionParams(min_area=0), before), after, small, large)
    assert_found(detect_motion(after, MotionParams(min_area=0.01), before), after, large)
    assert_still(detect_motion(after, MotionParams(min_area=0.05), before))


def test_the_clearer_the_surer() -> None:
    place = (200, 150, 150, 150)
    before = taken(wall(60), 1)
    scores = [
        detect_motion(taken(with_shape(wall(60), place, level), 2), DEFAULTS, before).score
        for level in (70, 95, 110, 150, 250)
    ]
    assert scores[0] == 0
    assert scores == sorted(set(scores))
    assert scores[2] == pytest.approx(0.5, abs=0.05)  # 50 levels: twice the threshold


def test_most_of_the_picture_may_move() -> None:
    before = photograph("dog.jpg")
    after = np.ascontiguousarray(before[:, ::-1])
    result = detect_motion(after, DEFAULTS, before)
    assert result.changed_area > 0.1
    assert result.score > 0.3
