"""How good a picture is: sharpness, brightness, contrast, exposure; and whether the lens is covered or frozen."""

import cv2
import numpy as np

from pivision.operations.quality import Exposure, QualityParams, QualityResult
from pivision.vision.frame import Frame
from pivision.vision.grey import grey_within
from pivision.vision.opencv import Grey

_MEASURED_SIDE_PX = 1024  # sharpness depends on the resolution, so larger pictures are measured at this one
_LOST = 0.25  # a quarter of the picture lost in shadows or highlights is a fault, less is a motif

# A covered lens. Three photographs that were blurred and darkened to a tenth had structure in 8 of 48 cells and more;
# drawn hands, caps and papers with a sensor's noise in none, and with a burned-in clock in 3.
_CELLS_ACROSS, _CELLS_DOWN, _CELL_SIDE = 8, 6, 4
_STRUCTURE_LEVELS = 1.5
_STRUCTURED_PART = 0.1

# An open view without structure. Drawn caps, hands and vignettes have mean levels up to 150.
_OPEN_LEVEL = 165  # mean: what is brighter hides no light
_SKY_LEVELS, _SKY_LEVEL = 20, 50  # so much more blue than red, and no night
_NIGHT_LEVEL = 50
_LIGHT_LEVELS = 40  # over the dark around it; noise with a deviation of 10 levels comes to 20

# A frozen picture. The digits of a burned-in clock and what JPEG spreads around them may change.
_CLOCK_PART = 0.02
_TELLING_PART = 0.05


def measure_quality(frame: Frame, params: QualityParams, previous: Frame | None = None) -> QualityResult:
    """Measure a BGR frame (H, W, 3); `previous` is the one before from the same source.

    Sharpness is the variance of the Laplacian (Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy",
    ICPR 2000) of the grey picture, scaled down so that its longer side is at most 1024 pixels.
    """
    grey = grey_within(frame, _MEASURED_SIDE_PX)
    histogram = cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel().astype(np.float64) / grey.size
    levels = np.arange(256)
    brightness = float(histogram @ levels)
    deviation = float(np.sqrt(histogram @ (levels - brightness) ** 2))
    _mean, laplacian_deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))  # within +-1020: nothing is cut off
    return QualityResult(
        sharpness=float(laplacian_deviation[0, 0]) ** 2,
        brightness=brightness / 255,
        contrast=min(1.0, deviation / 127.5),
        exposure=_exposure(
            underexposed=min(1.0, float(histogram[: params.shadow_level + 1].sum())),
            overexposed=min(1.0, float(histogram[params.highlight_level :].sum())),
        ),
        is_covered=_is_covered(frame, grey),
        is_frozen=None
        if previous is None or previous.shape != frame.shape
        else _is_frozen(grey, grey_within(previous, _MEASURED_SIDE_PX)),
    )


def _exposure(underexposed: float, overexposed: float) -> Exposure:
    dark, bright = underexposed > _LOST, overexposed > _LOST
    if dark and bright:
        return Exposure(underexposed, overexposed, "high-contrast")
    return Exposure(underexposed, overexposed, "dark" if dark else "bright" if bright else "good")


def _is_covered(frame: Frame, grey: Grey) -> bool:
    """Whether something near hides the view: hardly any part of the picture has a structure, and it is no open view.

    The picture is averaged to 32 x 24 pixels, which leaves little of the noise, in 8 x 6 cells. A cell has structure
    when its pixels deviate from a plane, which takes up vignettes and light from one side, by more than 1.5 levels; the
    lens is covered when less than a tenth of the cells has any. (The search for parts without edges or deviation is the
    usual one for a covered camera; see Lee, Lee and Lim, "Unified camera tamper detection based on edge and object
    information", Sensors 15 (2015).)

    What looks as even and is no cover: snow, fog and clouds are bright, for they hide no light; a clear sky is blue; a
    night has a light somewhere else than where clocks are burned in, at the upper and the lower edge.

    Limits: a white paper close to the lens counts as snow, and a night without a single light as a cap: in one picture
    they look the same. A web or a leaf that leaves a tenth of the view sharp does not count. Strong noise (a deviation
    of 10 levels) in pictures of 160 pixels and less looks like structure.
    """
    blue, _green, red, _ = cv2.mean(frame)
    brightness = float(grey.mean())
    if brightness > _OPEN_LEVEL or (blue - red > _SKY_LEVELS and brightness > _SKY_LEVEL):
        return False
    size = (_CELLS_ACROSS * _CELL_SIDE, _CELLS_DOWN * _CELL_SIDE)
    small = cv2.resize(grey.astype(np.float32), size, interpolation=cv2.INTER_AREA)  # uint8 would round structure away
    cells = small.reshape(_CELLS_DOWN, _CELL_SIDE, _CELLS_ACROSS, _CELL_SIDE).swapaxes(1, 2)
    ramp = np.linspace(-1, 1, _CELL_SIDE, dtype=np.float32)
    ramp /= np.sqrt(_CELL_SIDE * (ramp @ ramp))  # of length 1 over a whole cell
    energy = (cells**2).sum(axis=(2, 3)) - cells.sum(axis=(2, 3)) ** 2 / _CELL_SIDE**2
    for slope in (ramp[:, np.newaxis], ramp[np.newaxis, :]):
        energy -= (cells * slope).sum(axis=(2, 3)) ** 2
    is_even = float((energy > (_STRUCTURE_LEVELS * _CELL_SIDE) ** 2).mean()) < _STRUCTURED_PART
    return is_even and not _has_light(grey)


def _has_light(grey: Grey) -> bool:
    """Whether a small light stands out, away from the upper and the lower edge, of a picture that is dark around it."""
    edge_px = grey.shape[0] // _CELLS_DOWN
    inner = grey[edge_px : grey.shape[0] - edge_px]
    if not inner.size or float(np.median(inner)) > _NIGHT_LEVEL:
        return False
    spots = cv2.blur(inner, (3, 3))  # the mean of nine pixels: a third of the noise is left
    around = cv2.blur(inner, (2 * edge_px + 1, 2 * edge_px + 1))  # so that light that leaks in is none
    return bool(cv2.subtract(spots, around).max() > _LIGHT_LEVELS)


def _is_frozen(grey: Grey, before: Grey) -> bool:
    """Whether a picture repeats the one before: at most 2 in 100 of its pixels differ at all.

    Black and white are left out, because noise is cut off there. Where they leave less than a twentieth of the picture,
    as on a night with a few lights, nothing can be told, and the answer is no.
    """
    telling = ((grey > 0) & (grey < 255)) | ((before > 0) & (before < 255))
    telling_px = np.count_nonzero(telling)
    if telling_px < _TELLING_PART * grey.size:
        return False
    return bool(np.count_nonzero((grey != before) & telling) <= _CLOCK_PART * telling_px)
