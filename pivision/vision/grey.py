"""A frame in grey, at the size at which it is measured."""

import cv2
import numpy as np

from pivision.vision.frame import Frame, scaled_down
from pivision.vision.opencv import Grey


def grey_within(frame: Frame, side_px: int) -> Grey:
    """The grey picture (h, w) of a BGR frame, its longer side at most `side_px`; smaller ones keep their size."""
    return scaled_down(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8), side_px)
