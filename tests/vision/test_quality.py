"""Quality, measured on pictures whose values are known beforehand."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivision.operations.quality import QualityParams, QualityResult
from pivision.vision.frame import Frame, decode
from pivision.vision.quality import measure_quality

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
