"""Boxes as detectors need them: an array (N, 4) of left, top, right and bottom, in pixels."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pivision.operations.geometry import Box
from pivision.vision.frame import Frame

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.intp]

_MOST = 1000  # of the surest count; with a min_score of 0 there would be hundreds of thousands
_STEPS_PER_PX = 16  # finer than any detector, and exact in a float: x + width never passes the frame's edge


@dataclasses.dataclass(frozen=True)
class Candidates:
    """What a network takes for something, as arrays of N."""

    boxes: Floats  # (N, 4)
    scores: Floats  # 0 to 1
    classes: Indices  # from 0, in the order of the model's labels


def sure(scores: Floats, classes: Sequence[int] | None, min_score: float) -> tuple[Indices, Indices]:
    """The cells and classes at which `scores` (cells, classes) reach `min_score`, at most a thousand, the surest.

    Only `classes` count; None: all. A cell may stand for several classes.
    """
    columns = np.arange(scores.shape[1]) if classes is None else np.asarray(classes, np.intp)
    flat = (scores if classes is None else scores[:, columns]).ravel()
    found = np.flatnonzero(flat >= min_score)
    if found.size > _MOST:
        found = found[np.argpartition(-flat[found], _MOST)[:_MOST]]
    cells, places = np.divmod(found, max(1, len(columns)))
    return cells, columns[places]


def without_overlap(candidates: Candidates, max_overlap: float) -> Indices:
    """Non-maximum suppression: the indices of the candidates that stay, the surest first.

    Of two of the same class whose intersection over union is above `max_overlap` (0 to 1), the surer one stays. Those
    of different classes leave each other alone. A score of 0 is none at all.
    """
    order = np.argsort(-candidates.scores, kind="stable")[:_MOST]
    if not order.size:
        return order
    boxes = candidates.boxes[order].astype(np.float64)
    boxes += (candidates.classes[order] * (np.ptp(boxes) + 1))[:, np.newaxis]  # each class has a place of its own
    boxes[:, 2:] -= boxes[:, :2]
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), candidates.scores[order].tolist(), 0.0, max_overlap)
    return order[np.asarray(kept, np.intp).ravel()]  # none: an empty tuple


def within(frame: Frame, boxes: Floats) -> list[Box | None]:
    """Boxes (N, 4) cut to what lies within the frame (H, W, 3); None for one of which nothing is left."""
    height_px, width_px = frame.shape[:2]
    edges = np.round(np.clip(boxes, 0, (width_px, height_px, width_px, height_px)) * _STEPS_PER_PX) / _STEPS_PER_PX
    return [
        Box(left, top, right - left, bottom - top) if right > left and bottom > top else None
        for left, top, right, bottom in edges.tolist()
    ]
