"""YuNet, a detector of faces (Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", MIR 2023).

Decoded here and not by cv2.FaceDetectorYN, which does the same from 4.8 on: that of 4.6 expects other outputs.
"""

import math

import numpy as np

from pivision.operations.faces import Face, FacesParams, Landmarks
from pivision.operations.geometry import Point
from pivision.vision import boxes, letterbox
from pivision.vision.boxes import Candidates
from pivision.vision.frame import Frame
from pivision.vision.network import Floats, Network, Outputs, blob

_STRIDES = (8, 16, 32)  # pixels of the canvas for one cell of each of the network's three grids
_LEAST_PX = 64  # of a side: with a grid of one cell's width, 4.14 computes with memory that nobody has written
_COLUMNS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
_MAX_OVERLAP = 0.3


def find(frame: Frame, params: FacesParams, network: Network) -> tuple[Face, ...]:
    """The faces in a BGR frame (H, W, 3), the surest first. Raises ModelUnusable, OutOfMemory.

    Landmarks are where the network supposes them: outside of the frame, when that cuts a face.
    """
    canvas, placement = letterbox.padded(frame, params.max_side_px, multiple_px=_STRIDES[-1], least_px=_LEAST_PX)
    outputs = network.forward(blob(canvas))
    cells = [math.prod(canvas.shape[:2]) // stride**2 for stride in _STRIDES]
    if not _fits(outputs, cells):
        raise network.misfit(outputs, f"with cls, obj, bbox and kps of {cells} cells")
    grids = [_faces(outputs, stride, canvas.shape[1] // stride, params.min_score) for stride in _STRIDES]
    scores = np.concatenate([scores for scores, _points in grids])
    points = placement.on_frame(np.concatenate([points for _scores, points in grids]))
    candidates = Candidates(points[:, :2].reshape(-1, 4), scores, np.zeros(len(scores), np.intp))
    kept = boxes.without_overlap(candidates, _MAX_OVERLAP)
    cut = boxes.within(frame, candidates.boxes[kept])
    return tuple(
        Face(box, score, Landmarks(*(Point(*point) for point in landmarks)))
        for box, score, landmarks in zip(cut, scores[kept].tolist(), points[kept, 2:].tolist(), strict=True)
        if box is not None
    )


def _fits(outputs: Outputs, cells: list[int]) -> bool:
    return all(
        (array := outputs.get(f"{name}_{stride}")) is not None and array.shape == (1, count, columns)
        for name, columns in _COLUMNS.items()
        for stride, count in zip(_STRIDES, cells, strict=True)
    )


def _faces(outputs: Outputs, stride: int, columns: int, min_score: float) -> tuple[Floats, Floats]:
    """One grid's faces: scores (N,), and (N, 7, 2) points of the canvas: top left, bottom right, five landmarks.

    Points are told from their cell on, in strides; the box by its middle and the logarithm of its size.
    """
    scores = np.sqrt(np.clip(outputs[f"cls_{stride}"][0], 0, 1) * np.clip(outputs[f"obj_{stride}"][0], 0, 1))
    cells, _class = boxes.sure(scores, None, min_score)
    corner = np.stack((cells % columns, cells // columns), axis=1)[:, np.newaxis].astype(np.float32)
    middle, log_size = np.split(outputs[f"bbox_{stride}"][0, cells].reshape(-1, 2, 2), 2, axis=1)
    half = np.exp(log_size) / 2
    landmarks = outputs[f"kps_{stride}"][0, cells].reshape(-1, 5, 2)
    points = corner + np.concatenate((middle - half, middle + half, landmarks), axis=1)
    return scores[cells, 0], points * np.float32(stride)
