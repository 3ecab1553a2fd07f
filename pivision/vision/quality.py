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
        is_covered=_is_covered(grey),
        is_frozen=None
        if previous is None or previous.shape != frame.shape
        else _is_frozen(grey, grey_within(previous, _MEASURED_SIDE_PX)),
    )


def _exposure(underexposed: float, overexposed: float) -> Exposure:
    dark, bright = underexposed > _LOST, overexposed > _LOST
    if dark and bright:
        return Exposure(underexposed, overexposed, "high-contrast")
    return Exposure(underexposed, overexposed, "dark" if dark else "bright" if bright else "good")


def _is_covered(grey: Grey) -> bool:
    """Whether hardly any part of the picture has a structure.

    The picture is averaged to 32 x 24 pixels, which leaves little of the noise, in 8 x 6 cells. A cell has structure
    when its pixels deviate from a plane, which takes up vignettes and light from one side, by more than 1.5 levels; the
    lens is covered when less than a tenth of the cells has any. (The search for parts without edges or deviation is the
    usual one for a covered camera; see Lee, Lee and Lim, "Unified camera tamper detection based on edge and object
    information", Sensors 15 (2015).)

    Limits: a cloudless sky or a white wall that fills the picture counts as covered, and so does a night with up to
    four small lights: in one picture they look the same. A web or a leaf that leaves a tenth of the view sharp does not
    count. Strong noise (a deviation of 10 levels) in pictures of 160 pixels and less looks like structure.
    """
    size = (_CELLS_ACROSS * _CELL_SIDE, _CELLS_DOWN * _CELL_SIDE)
    small = cv2.resize(grey.astype(np.float32), size, interpolation=cv2.INTER_AREA)  # uint8 would round structure away
    cells = small.reshape(_CELLS_DOWN, _CELL_SIDE, _CELLS_ACROSS, _CELL_SIDE).swapaxes(1, 2)
    ramp = np.linspace(-1, 1, _CELL_SIDE, dtype=np.float32)
    ramp /= np.sqrt(_CELL_SIDE * (ramp @ ramp))  # of length 1 over a whole cell
    energy = (cells**2).sum(axis=(2, 3)) - cells.sum(axis=(2, 3)) ** 2 / _CELL_SIDE**2
    for slope in (ramp[:, np.newaxis], ramp[np.newaxis, :]):
        energy -= (cells * slope).sum(axis=(2, 3)) ** 2
    return float((energy > (_STRUCTURE_LEVELS * _CELL_SIDE) ** 2).mean()) < _STRUCTURED_PART


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
