"""YOLOX (Ge et al., "YOLOX: Exceeding YOLO Series in 2021"): a box, how sure it is, and scores, for each of its cells.

Its output is (1, cells, 5 + labels): the middle of the box from its cell on and the logarithm of its size, both in
strides; whether there is something; and if so, what. An export with `--decode_in_inference` gives pixels instead, and
is known by them: on average, its boxes lie in the middle of the canvas, and not within a cell of the corner.
"""

from collections.abc import Sequence

import numpy as np

from pivision.vision import boxes, letterbox
from pivision.vision.boxes import Candidates
from pivision.vision.frame import Frame
from pivision.vision.letterbox import Placement
from pivision.vision.network import Floats, Outputs, blob

MAX_OVERLAP = 0.45

_STRIDES = np.array((8, 16, 32))  # pixels of the canvas for one cell of each of the network's three grids
_FILL = 114  # as in training


def laid_out(frame: Frame, side_px: int) -> tuple[Floats, Placement]:
    """What the network takes for a BGR frame (H, W, 3), and where the frame lies on it.

    As BGR from 0 to 255, in which YOLOX is trained since its version 0.1.1; the zoo's demo gives RGB. With YOLOX-Nano,
    seven things in three photographs, in 24 sizes, places and brightnesses each: mean score 0.737 and IoU 0.868 as
    BGR, 0.731 and 0.869 as RGB.
    """
    canvas, placement = letterbox.square(frame, side_px, fill=_FILL, is_centred=False)
    return blob(canvas), placement


def decoded(
    outputs: Outputs, labels: int, side_px: int, classes: Sequence[int] | None, min_score: float
) -> Candidates | None:
    """What the network takes for things of `classes` (None: of all `labels`), in pixels of the square canvas.

    None where the outputs are not those of a YOLOX with so many labels and this side.
    """
    columns = side_px // _STRIDES
    arrays = list(outputs.values())
    if len(arrays) != 1 or arrays[0].shape != (1, sum(columns**2), 5 + labels):
        return None
    output = arrays[0][0]
    rows = np.flatnonzero(output[:, 4] >= min_score)  # a score is this times another up to 1
    scores = output[rows, 4:5] * output[rows, 5:]
    places, found = boxes.sure(scores, classes, min_score)
    cells = rows[places]
    middle, size = output[cells, :2], output[cells, 2:4]
    if output[:, :2].mean() < side_px / 8:
        corner, stride = _cells(cells, columns)
        middle, size = (corner + middle) * stride, np.exp(size) * stride
    corners = np.concatenate((middle - size / 2, middle + size / 2), axis=1)
    return Candidates(corners, np.clip(scores[places, found], 0, 1), found)


def _cells(cells: boxes.Indices, columns: boxes.Indices) -> tuple[boxes.Indices, boxes.Indices]:
    """Where cells lie in their grid (N, 2), and its stride (N, 1). The grids follow each other, row by row."""
    ends = np.cumsum(columns**2)
    grid = np.searchsorted(ends, cells, side="right")
    cell = cells - (ends - columns**2)[grid]
    return np.stack((cell % columns[grid], cell // columns[grid]), axis=1), _STRIDES[grid][:, np.newaxis]
