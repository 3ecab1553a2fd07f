"""NanoDet (https://github.com/RangiLyu/nanodet): scores and the distances of a box's edges, for each cell of its grids.

Each distance is a distribution over whole strides, 0 to 7 as a rule, whose mean counts (Li et al., "Generalized Focal
Loss", NeurIPS 2020). Read are the file of OpenCV's zoo, which gives scores and distances of each grid apart, and what
NanoDet itself exports: one array, for the three grids of NanoDet-m or the four of NanoDet-Plus.
"""

import math
from collections.abc import Sequence

import numpy as np

from pivision.vision import boxes, letterbox
from pivision.vision.boxes import Candidates
from pivision.vision.frame import Frame
from pivision.vision.letterbox import Placement
from pivision.vision.network import Floats, Outputs, blob

MAX_OVERLAP = 0.6

_MEAN, _DEVIATION = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)  # of ImageNet, as BGR
_GRIDS = {
    (8, 16, 32): 0.5,  # the strides in pixels, and where in its cell lies the point from which distances count
    (8, 16, 32, 64): 0.0,  # NanoDet-Plus
}

Grid = tuple[int, float, Floats, Floats]  # stride, point, scores (cells, labels), distances (cells, 4 x bins)


def laid_out(frame: Frame, side_px: int) -> tuple[Floats, Placement]:
    """What the network takes for a BGR frame (H, W, 3), and where the frame lies on it.

    As BGR, in which NanoDet is trained; the zoo's demo gives RGB to the means of BGR. Seven things in three
    photographs, in 24 sizes, places and brightnesses each: mean score 0.571 and IoU 0.855 as BGR, 0.560 and 0.853 as
    RGB.
    """
    canvas, placement = letterbox.square(frame, side_px, fill=0, is_centred=True)
    return blob(canvas, _MEAN, _DEVIATION), placement


def decoded(
    outputs: Outputs, labels: int, side_px: int, classes: Sequence[int] | None, min_score: float
) -> Candidates | None:
    """What the network takes for things of `classes` (None: of all `labels`), in pixels of the square canvas.

    None where the outputs are not those of a NanoDet with so many labels and this side.
    """
    grids = _grids(outputs, labels, side_px)
    if not grids:
        return None
    found = [_candidates(grid, side_px, classes, min_score) for grid in grids]
    return Candidates(
        np.concatenate([each.boxes for each in found]),
        np.concatenate([each.scores for each in found]),
        np.concatenate([each.classes for each in found]),
    )


def _grids(outputs: Outputs, labels: int, side_px: int) -> list[Grid]:
    """The grids, told apart by their shapes, for names and order are each export's own; none: this is no NanoDet."""
    arrays = [array[0] for array in outputs.values() if array.ndim == 3 and len(array) == 1]
    for strides, point in _GRIDS.items():
        cells = [math.ceil(side_px / stride) ** 2 for stride in strides]
        if len(arrays) == 1 and len(arrays[0]) == sum(cells):
            parts = [(part[:, :labels], part[:, labels:]) for part in np.split(arrays[0], np.cumsum(cells)[:-1])]
        elif len(arrays) == 2 * len(strides):
            parts = [_pair([array for array in arrays if len(array) == count], labels) for count in cells]
        else:
            continue
        if all(scores.shape[1] == labels and _may_be_distances(distances) for scores, distances in parts):
            return [(stride, point, *part) for stride, part in zip(strides, parts, strict=True)]
    return []


def _pair(arrays: list[Floats], labels: int) -> tuple[Floats, Floats]:
    """Scores and distances of one grid. Where both have as many columns, scores come first."""
    first = next((number for number, array in enumerate(arrays) if array.shape[1] == labels), None)
    if first is None or len(arrays) != 2:
        return np.empty((0, 0), np.float32), np.empty((0, 0), np.float32)
    return arrays[first], arrays[1 - first]


def _may_be_distances(array: Floats) -> bool:
    columns: int = array.shape[1]
    return columns >= 8 and columns % 4 == 0


def _candidates(grid: Grid, side_px: int, classes: Sequence[int] | None, min_score: float) -> Candidates:
    stride, point, scores, distances = grid
    if scores.min() < -1:  # logits, from an export without the last step: most cells hold nothing
        scores = np.reciprocal(1 + np.exp(-scores))
    cells, found = boxes.sure(scores, classes, min_score)
    bins = distances.reshape(len(distances), 4, -1)[cells]
    weights = np.exp(bins - bins.max(axis=2, keepdims=True))
    edges = weights @ np.arange(bins.shape[2], dtype=np.float32) / weights.sum(axis=2)
    columns = math.ceil(side_px / stride)
    points = np.stack((cells % columns, cells // columns), axis=1) + np.float32(point)
    corners = np.concatenate((points - edges[:, :2], points + edges[:, 2:]), axis=1) * stride
    return Candidates(corners, np.clip(scores[cells, found], 0, 1), found)
