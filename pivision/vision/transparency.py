"""Transparency, laid on white: a black code on a transparent ground is one on paper."""

import numpy as np
import numpy.typing as npt

_ROWS = 64  # at once, so that a large image needs little memory on top


def on_white(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return BGR (H, W, 3) of BGRA (H, W, 4); a frame without alpha comes back as it is."""
    if frame.shape[2] == 3:
        return frame
    laid = np.empty((*frame.shape[:2], 3), np.uint8)
    for top in range(0, frame.shape[0], _ROWS):
        rows = frame[top : top + _ROWS]
        alpha = rows[:, :, 3:].astype(np.uint16)
        laid[top : top + _ROWS] = (rows[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return laid
