"""A picture on the canvas that a network takes: scaled with its proportions kept, and what is left over filled.

INTER_LINEAR, as all these networks were trained with; INTER_AREA took 17 ms for 12 megapixels, more than a network.
"""

import dataclasses
import math

import cv2
import numpy as np
import numpy.typing as npt

from pivision.vision.frame import Frame

Doubles = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where a frame lies on a canvas. The scales may differ by a trifle: sizes are whole pixels, and at least one."""

    scale_x: float
    scale_y: float
    left_px: int
    top_px: int

    def on_canvas(self, points: npt.ArrayLike) -> Doubles:
        """Points (..., 2), x and y in pixels of the frame, as pixels of the canvas."""
        return np.asarray(points, np.float64) * self._scale + self._origin

    def on_frame(self, points: npt.ArrayLike) -> Doubles:
        """Points (..., 2), x and y in pixels of the canvas, as pixels of the frame."""
        return (np.asarray(points, np.float64) - self._origin) / self._scale

    @property
    def _scale(self) -> Doubles:
        return np.array((self.scale_x, self.scale_y))

    @property
    def _origin(self) -> Doubles:
        return np.array((self.left_px, self.top_px), np.float64)


def square(frame: Frame, side_px: int, *, fill: int, is_centred: bool) -> tuple[Frame, Placement]:
    """The frame (H, W, 3), as large as it fits a square canvas; in its middle, or at its top left."""
    height_px, width_px = frame.shape[:2]
    scale = side_px / max(height_px, width_px)
    return _placed(frame, scale, (side_px, side_px), fill, is_centred)


def padded(frame: Frame, max_side_px: int, *, multiple_px: int, least_px: int) -> tuple[Frame, Placement]:
    """The frame (H, W, 3), its longer side at most `max_side_px`, and black to its right and below it.

    The canvas' sides are multiples of `multiple_px`, and at least `least_px`. Small frames are not scaled up.
    """
    scale = min(1.0, max_side_px / max(frame.shape[:2]))
    height, width = (
        max(least_px, math.ceil(_scaled(side, scale) / multiple_px) * multiple_px) for side in frame.shape[:2]
    )
    return _placed(frame, scale, (height, width), fill=0, is_centred=False)


def shrunk(frame: Frame, max_side_px: int) -> tuple[Frame, Placement]:
    """The frame (H, W, 3), its longer side at most `max_side_px`."""
    return padded(frame, max_side_px, multiple_px=1, least_px=1)


def _scaled(side_px: int, scale: float) -> int:
    return max(1, round(side_px * scale))


def _placed(
    frame: Frame, scale: float, canvas_px: tuple[int, int], fill: int, is_centred: bool
) -> tuple[Frame, Placement]:
    height_px, width_px = frame.shape[:2]
    height, width = _scaled(height_px, scale), _scaled(width_px, scale)
    if (height, width) == (height_px, width_px):
        scaled = frame
    else:
        scaled = np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    top, left = ((canvas_px[0] - height) // 2, (canvas_px[1] - width) // 2) if is_centred else (0, 0)
    placement = Placement(width / width_px, height / height_px, left, top)
    if (height, width) == canvas_px:
        return scaled, placement
    canvas = np.full((*canvas_px, 3), fill, np.uint8)
    canvas[top : top + height, left : left + width] = scaled
    return canvas, placement
