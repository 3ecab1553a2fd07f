"""Quality, measured on pictures whose values are known beforehand."""

import functools
import itertools
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivision.operations.quality import QualityParams, QualityResult
from pivision.vision.frame import Frame, decode
from pivision.vision.quality import measure_quality
from tests.vision.conftest import PICTURES, photograph

PHOTOGRAPHS = ["astronaut.jpg", "dog.jpg", "person.jpg"]
PHOTOGRAPH = Path(__file__).parent.parent / "pictures" / "astronaut.jpg"
DEFAULTS = QualityParams()


def flat(level: int, width_px: int = 80, height_px: int = 60) -> Frame:
    return np.full((height_px, width_px, 3), level, np.uint8)


def parts(*levels: int) -> Frame:
    """Stripes of equal width, each of one grey level."""
    return np.concatenate([flat(level, 20, 40) for level in levels], axis=1)


def test_the_more_blurred_the_less_sharp() -> None:
    photograph = decode(PHOTOGRAPH.read_bytes())
    blurred = [cv2.GaussianBlur(photograph, (0, 0), sigma) for sigma in (0.5, 1, 2, 4, 8)]
    series = [measure_quality(np.asarray(each, np.uint8), DEFAULTS).sharpness for each in (photograph, *blurred)]
    assert series == sorted(series, reverse=True)
    assert len(set(series)) == len(series)
    assert series[0] > 100 > series[3]


@pytest.mark.parametrize("level", [0, 1, 64, 127, 128, 200, 255])
def test_a_flat_picture(level: int) -> None:
    result = measure_quality(flat(level), DEFAULTS)
    assert result.brightness == pytest.approx(level / 255)
    assert result.contrast == 0
    assert result.sharpness == 0
    assert result.exposure.underexposed == (1.0 if level <= 10 else 0.0)
    assert result.exposure.overexposed == (1.0 if level >= 245 else 0.0)


def test_half_black_and_half_white() -> None:
    result = measure_quality(parts(0, 255), DEFAULTS)
    assert result.contrast == pytest.approx(1)
    assert result.brightness == pytest.approx(0.5)
    assert (result.exposure.underexposed, result.exposure.overexposed) == (0.5, 0.5)
    assert result.exposure.verdict == "high-contrast"


@pytest.mark.parametrize(
    ("colour_bgr", "grey"), [((0, 0, 255), 76), ((0, 255, 0), 150), ((255, 0, 0), 29), ((255, 255, 255), 255)]
)
def test_colours_count_by_how_bright_the_eye_sees_them(colour_bgr: tuple[int, int, int], grey: int) -> None:
    colour = np.full((10, 10, 3), colour_bgr, np.uint8)  # ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B
    assert measure_quality(colour, DEFAULTS).brightness == pytest.approx(grey / 255)


@pytest.mark.parametrize(
    ("levels", "verdict"),
    [
        ((128, 128, 128, 128), "good"),
        ((0, 128, 128, 128), "good"),  # a quarter is a motif
        ((255, 128, 128, 128), "good"),
        ((0, 0, 128, 128), "dark"),
        ((255, 255, 128, 128), "bright"),
        ((0, 0, 255, 128), "dark"),
        ((0, 255, 255, 128), "bright"),
        ((0, 0, 255, 255), "high-contrast"),
        ((10, 10, 128, 128), "dark"),
        ((11, 11, 128, 128), "good"),
        ((245, 245, 128, 128), "bright"),
        ((244, 244, 128, 128), "good"),
    ],
)
def test_the_verdict(levels: tuple[int, ...], verdict: str) -> None:
    assert measure_quality(parts(*levels), DEFAULTS).exposure.verdict == verdict


@pytest.mark.parametrize(
    ("params", "underexposed", "overexposed"),
    [
        (QualityParams(shadow_level=0, highlight_level=255), 0.25, 0.25),
        (QualityParams(shadow_level=99, highlight_level=201), 0.25, 0.25),
        (QualityParams(shadow_level=100, highlight_level=200), 0.5, 0.5),
        (QualityParams(shadow_level=255, highlight_level=0), 1.0, 1.0),
    ],
)
def test_the_levels_count_themselves(params: QualityParams, underexposed: float, overexposed: float) -> None:
    exposure = measure_quality(parts(0, 100, 200, 255), params).exposure
    assert (exposure.underexposed, exposure.overexposed) == (underexposed, overexposed)


def assert_in_range(result: QualityResult) -> None:
    fractions = [result.brightness, result.contrast, result.exposure.underexposed, result.exposure.overexposed]
    assert all(0 <= fraction <= 1 for fraction in fractions)
    assert 0 <= result.sharpness < float("inf")


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 1 << 32), st.integers(0, 255), st.integers(0, 255))
def test_every_fraction_is_one(width_px: int, height_px: int, seed: int, shadow: int, highlight: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), np.uint8)
    assert_in_range(measure_quality(noise, QualityParams(shadow_level=shadow, highlight_level=highlight)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (1025, 3), (3, 1025)])
def test_extreme_shapes(shape: tuple[int, int]) -> None:
    assert_in_range(measure_quality(np.full((*shape, 3), 128, np.uint8), DEFAULTS))


def test_the_same_scene_in_more_pixels_is_measured_alike() -> None:
    photograph = cv2.resize(decode(PHOTOGRAPH.read_bytes()), (1024, 1024), interpolation=cv2.INTER_CUBIC)
    larger = np.asarray(cv2.resize(photograph, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST), np.uint8)
    small = measure_quality(np.asarray(photograph, np.uint8), DEFAULTS)
    large = measure_quality(larger, DEFAULTS)
    assert large.sharpness == pytest.approx(small.sharpness, rel=0.02)
    assert large.brightness == pytest.approx(small.brightness, abs=0.001)
    assert large.contrast == pytest.approx(small.contrast, abs=0.001)


@functools.cache
def small(name: str) -> Frame:
    """A photograph of 128 x 128 pixels."""
    return np.asarray(cv2.resize(photograph(name), (128, 128), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@given(st.lists(st.floats(0.05, 4), min_size=2, max_size=4, unique_by=lambda gain: round(gain * 10)))
def test_the_more_light_the_brighter(name: str, gains: list[float]) -> None:
    scene = small(name)
    series = [measure_quality(np.clip(scene * gain, 0, 255).astype(np.uint8), DEFAULTS) for gain in sorted(gains)]
    for darker, brighter in itertools.pairwise(series):
        assert darker.brightness < brighter.brightness
        assert darker.exposure.underexposed >= brighter.exposure.underexposed
        assert darker.exposure.overexposed <= brighter.exposure.overexposed


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@given(st.lists(st.sampled_from([0.5, 0.7, 1, 1.4, 2, 2.8, 4, 5.6]), min_size=2, max_size=4, unique=True))
def test_the_wider_the_blur_the_less_sharp(name: str, sigmas: list[float]) -> None:
    blurred = [np.asarray(cv2.GaussianBlur(small(name), (0, 0), sigma), np.uint8) for sigma in sorted(sigmas)]
    sharpness = [measure_quality(each, DEFAULTS).sharpness for each in blurred]
    assert sharpness == sorted(sharpness, reverse=True)


Scene = npt.NDArray[np.float64]


def taken(scene: Scene, seed: int, noise: float) -> Frame:
    """What a sensor makes of a scene (H, W): noise, and nothing below black or above white."""
    levels = scene[:, :, np.newaxis] + np.random.default_rng(seed).normal(0, noise, (*scene.shape, 3))
    return np.clip(levels, 0, 255).astype(np.uint8)


def places(width_px: int, height_px: int) -> tuple[Scene, Scene]:
    """How far right and how far down each pixel is, from 0 to 1."""
    across, down = np.meshgrid(np.linspace(0, 1, width_px), np.linspace(0, 1, height_px))
    return across, down


# What a camera sees behind a cap, a hand, a paper: light that changes slowly, if at all.
COVERS: dict[str, Callable[[Scene, Scene], Scene]] = {
    "cap": lambda x, y: 0 * x + 3,
    "light from one side": lambda x, y: 20 + 100 * x + 100 * y,
    "vignette": lambda x, y: 220 * np.exp(-3 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)),
    "hand": lambda x, y: 60 + 50 * np.cos(2 * x) + 40 * np.sin(3 * y),
    "glow": lambda x, y: 30 + 60 * np.exp(-4 * (x**2 + y**2)),
}


@pytest.mark.parametrize("noise", [0, 5])
@pytest.mark.parametrize("size", [(320, 240), (640, 480), (360, 640)])
@pytest.mark.parametrize("cover", COVERS)
def test_a_covered_lens(cover: str, size: tuple[int, int], noise: float) -> None:
    frame = taken(COVERS[cover](*places(*size)), 1, noise)
    assert measure_quality(frame, DEFAULTS).is_covered


@pytest.mark.parametrize("cover", ["cap", "vignette", "hand"])
def test_a_burned_in_clock_does_not_uncover_it(cover: str) -> None:
    frame = taken(COVERS[cover](*places(640, 480)), 1, 3)
    cv2.putText(frame, "2031-05-07 23:59:58", (10, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 2)
    assert measure_quality(frame, DEFAULTS).is_covered


def test_a_near_thing_out_of_focus_covers_too() -> None:
    blurred = cv2.GaussianBlur(small("dog.jpg"), (0, 0), 128 * 0.2)
    assert measure_quality(np.asarray(blurred, np.uint8), DEFAULTS).is_covered


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("size_px", [160, 640, 1600])
def test_a_photograph_is_not_covered_in_whatever_light(name: str, size_px: int) -> None:
    scene = photograph(name)
    size = (size_px, round(size_px * scene.shape[0] / scene.shape[1]))
    frame = np.asarray(cv2.resize(scene, size, interpolation=cv2.INTER_AREA), np.uint8)
    blurred = cv2.GaussianBlur(frame, (0, 0), size_px / 64)
    for each in (frame, frame * 0.1, blurred, blurred * 0.1, frame * 0.1 + 180, frame[::-1], frame[:, : size_px // 2]):
        assert not measure_quality(np.ascontiguousarray(each, np.uint8), DEFAULTS).is_covered


@pytest.mark.parametrize("file", sorted(PICTURES.glob("*.webp")) + sorted(PICTURES.glob("*.png")), ids=lambda f: f.name)
def test_a_code_is_something_to_see(file: Path) -> None:
    assert not measure_quality(decode(file.read_bytes()), DEFAULTS).is_covered


def test_a_light_in_the_night_is_something_to_see() -> None:
    for radius_px in (2, 4, 12):
        for count, is_covered in ((0, True), (1, False), (4, False)):
            night = taken(np.full((480, 640), 3.0), 1, 3)
            for number in range(count):
                cv2.circle(night, (40 + 80 * number, 200), radius_px, (250, 250, 250), -1)
            assert measure_quality(night, DEFAULTS).is_covered == is_covered


def coloured(blue: Scene, green: Scene, red: Scene, noise: float) -> Frame:
    scene = np.dstack([blue, green, red]) + np.random.default_rng(2).normal(0, noise, (*blue.shape, 3))
    return np.clip(scene, 0, 255).astype(np.uint8)


OPEN: dict[str, Callable[[Scene, Scene, float], Frame]] = {
    "clear sky": lambda x, y, noise: coloured(230 - 0 * x, 160 + 50 * y, 90 + 90 * y, noise),
    "deep blue sky": lambda x, y, noise: coloured(150 + 40 * y, 90 + 30 * y, 40 + 30 * y, noise),
    "dusk": lambda x, y, noise: coloured(110 + 30 * y, 70 + 40 * y, 50 + 60 * y, noise),
    "snow": lambda x, y, noise: coloured(240 + 0 * x, 238 + 0 * x, 236 + 0 * x, noise),
    "snow in the shade": lambda x, y, noise: coloured(200 + 10 * y, 180 + 10 * y, 165 + 10 * y, noise),
    "overexposed": lambda x, y, noise: coloured(255 + 0 * x, 255 + 0 * x, 255 + 0 * x, noise),
    "fog": lambda x, y, noise: coloured(190 + 10 * y, 190 + 10 * y, 190 + 10 * y, noise),
}


@pytest.mark.parametrize("noise", [0, 3])
@pytest.mark.parametrize("size", [(320, 240), (640, 480), (1920, 1080)])
@pytest.mark.parametrize("view", OPEN)
def test_an_open_view_without_structure_is_no_cover(view: str, size: tuple[int, int], noise: float) -> None:
    assert not measure_quality(OPEN[view](*places(*size), noise), DEFAULTS).is_covered


def test_without_one_before_nobody_knows_whether_it_is_frozen() -> None:
    frame = photograph("dog.jpg")
    assert measure_quality(frame, DEFAULTS).is_frozen is None
    assert measure_quality(frame, DEFAULTS, None).is_frozen is None
    assert measure_quality(frame, DEFAULTS, np.ascontiguousarray(frame[:-1])).is_frozen is None


@pytest.mark.parametrize("size_px", [160, 640, 1600])
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_the_same_picture_again_is_frozen(name: str, size_px: int) -> None:
    frame = np.asarray(cv2.resize(photograph(name), (size_px, size_px * 3 // 4)), np.uint8)
    assert measure_quality(frame, DEFAULTS, frame.copy()).is_frozen is True


def test_a_burned_in_clock_may_go_on() -> None:
    frames = []
    for time in ("2031-05-07 23:59:59", "2031-05-08 00:00:00"):
        frame = photograph("dog.jpg").copy()
        cv2.putText(frame, time, (10, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 2)
        _is_written, jpeg = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 80])
        frames.append(decode(jpeg.tobytes()))
    assert (frames[0] != frames[1]).any()
    assert measure_quality(frames[1], DEFAULTS, frames[0]).is_frozen is True


@pytest.mark.parametrize("jpeg_quality", [50, 80, 95])
@pytest.mark.parametrize("gain", [1, 0.1])
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_the_same_scene_taken_again_is_not_frozen(name: str, gain: float, jpeg_quality: int) -> None:
    """A sensor of little noise, even in little light, and a JPEG that takes much of it away."""
    scene = np.asarray(cv2.cvtColor(photograph(name), cv2.COLOR_BGR2GRAY), np.float64) * gain
    frames = []
    for seed in (1, 2):
        encoded = cv2.imencode(".jpg", taken(scene, seed, 1), [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])[1]
        frames.append(decode(encoded.tobytes()))
    assert measure_quality(frames[1], DEFAULTS, frames[0]).is_frozen is False


@pytest.mark.parametrize(("changed_rows", "is_frozen"), [(0, True), (1, True), (3, False), (100, False)])
def test_where_frozen_begins(changed_rows: int, is_frozen: bool) -> None:
    before, frame = flat(100, 100, 100), flat(100, 100, 100)
    frame[:changed_rows] += 1  # each row is a hundredth of the picture
    assert measure_quality(frame, DEFAULTS, before).is_frozen is is_frozen


@pytest.mark.parametrize("level", [0, 255])
def test_black_and_white_tell_nothing(level: int) -> None:
    result = measure_quality(flat(level), DEFAULTS, flat(level))
    assert result.is_frozen is False
    assert result.is_covered == (level == 0)
    assert measure_quality(flat(100), DEFAULTS, flat(100)).is_frozen is True
