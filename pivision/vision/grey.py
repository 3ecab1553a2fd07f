"""A frame in grey, at the size at which it is measured."""

import cv2
import numpy as np

from pivision.vision.frame import Frame
from pivision.vision.opencv import Grey


def grey_within(frame: Frame, side_px: int) -> Grey:
    """The grey picture (h, w) of a BGR frame, its longer side at most `side_px`; smaller ones keep their size.

    Each pixel of a scaled picture is the mean of those that it stands for, which takes noise away with the details.
    """
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    longer_side_px = max(grey.shape)
    if longer_side_px > side_px:
        scale = side_px / longer_side_px
        size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.asarray(grey, np.uint8)
