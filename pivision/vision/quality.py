"""How good a picture is: sharpness, brightness, contrast, exposure."""

import cv2
import numpy as np

from pivision.operations.quality import Exposure, QualityParams, QualityResult
from pivision.vision.frame import Frame

_MEASURED_SIDE_PX = 1024  # sharpness depends on the resolution, so larger pictures are measured at this one
_LOST = 0.25  # a quarter of the picture lost in shadows or highlights is a fault, less is a motif


def measure_quality(frame: Frame, params: QualityParams) -> QualityResult:
    """Measure a BGR frame (H, W, 3).

    Sharpness is the variance of the Laplacian (Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy",
    ICPR 2000) of the grey picture, scaled down so that its longer side is at most 1024 pixels.
    """
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    longer_side_px = max(grey.shape)
    if longer_side_px > _MEASURED_SIDE_PX:
        scale = _MEASURED_SIDE_PX / longer_side_px
        size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
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
        is_covered=False,
        is_frozen=None,
    )


def _exposure(underexposed: float, overexposed: float) -> Exposure:
    dark, bright = underexposed > _LOST, overexposed > _LOST
    if dark and bright:
        return Exposure(underexposed, overexposed, "high-contrast")
    return Exposure(underexposed, overexposed, "dark" if dark else "bright" if bright else "good")
