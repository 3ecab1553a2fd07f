"""Printed text, read by RapidOCR (https://github.com/RapidAI/RapidOCR): PaddleOCR's networks on ONNX Runtime.

An optional package: requirements-text.txt says what it is made of. It is imported when the first text is to be read.
"""

import functools
import importlib
import math
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pivision.errors import ModelMissing, ModelUnusable
from pivision.models import INSTALL, inventory
from pivision.operations.geometry import Corners, Point
from pivision.operations.text import TextLine, TextParams, TextResult
from pivision.vision.frame import Frame

_COMMAND = f"{INSTALL} text"

_SEARCHED_SIDE_PX = 1280  # text is searched at this longer side: its memory grows with the area, 0.3 GB at this one
_SMALL_SIDE_PX = 736  # a smaller picture is enlarged until its shorter side has this, as PaddleOCR does
_TURNED_SCORE = 0.9  # how sure the classifier must be that a line stands on its head
_SAME_ROW = 0.5  # lines stand side by side when their middles differ by less than this part of the first one's height

_NO_MEMORY = ("bad_alloc", "failed to map segment")  # what ONNX Runtime says, and the loader of its library

_Box = npt.NDArray[np.float32]
"""(4, 2): a line's corners, clockwise from the one that is top left in the picture."""


def is_installed() -> bool:
    """Whether the packages are there; they are not imported."""
    return inventory.text_reader() is not None


def read_text(frame: Frame, params: TextParams) -> TextResult:
    """Read every line of text in a BGR frame (H, W, 3), however it is turned.

    Corners are in pixels of the frame and follow the text: its own top left comes first. Lines come row by row from
    top to bottom, within a row from left to right.
    Raises ModelMissing (no package), ModelUnusable (a damaged one), MemoryError, RuntimeError.
    """
    if not is_installed():
        raise ModelMissing(f"text needs a package that is not installed: {_COMMAND}")
    scale = _enlargement(frame)
    picture = frame if scale == 1 else cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    try:
        detected, classified, recognised, crops = _engine().run_ocr_steps(picture, {})
    except (MemoryError, cv2.error):
        raise
    except Exception as error:  # ONNX Runtime's errors have no other class in common
        said = str(error).strip().rpartition("\n")[2]  # the last line of a traceback
        if any(sign in said for sign in _NO_MEMORY):
            raise MemoryError(said) from error
        if isinstance(error, ImportError):
            raise ModelUnusable(f"the package that reads text cannot be loaded ({said}): {_COMMAND}") from error
        raise RuntimeError(said) from error
    if detected.boxes is None or recognised.txts is None:
        return TextResult("", ())
    limits = np.array([frame.shape[1], frame.shape[0]], np.float32)
    lines = [
        TextLine(text, min(1.0, float(score)), _corners(np.clip(own / scale, 0, limits)))
        for text, score, own in zip(
            recognised.txts,
            recognised.scores,
            map(_own_corners, detected.boxes, crops, classified.cls_res),
            strict=True,
        )
        if text.strip() and score >= params.min_score
    ]
    lines = _in_rows(lines)
    return TextResult("\n".join(line.text for line in lines), tuple(lines))


@functools.cache
def _engine() -> Any:
    """The reader, made once: its networks, which it loads with the first picture, stay in memory."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # since 1.29 ONNX Runtime else keeps a diary and sends it to its maker
    rapidocr: Any = importlib.import_module("rapidocr")
    weights = Path(rapidocr.__file__).parent / "models"
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "critical",
            # Named files: by default it looks for them itself, and downloads what it misses.
            "Det.model_path": str(weights / "PP-OCRv6_det_small.onnx"),
            "Cls.model_path": str(weights / "ch_ppocr_mobile_v2.0_cls_mobile.onnx"),
            "Rec.model_path": str(weights / "PP-OCRv6_rec_small.onnx"),
            # It searches a smaller copy, and reads what it has found there in the picture as it is.
            "Global.use_preprocess_img": False,
            "Global.use_vertical_padding": False,
            "Det.limit_type": "max",
            "Det.limit_side_len": _SEARCHED_SIDE_PX,
            "Cls.cls_thresh": _TURNED_SCORE,
            # One line at a time: six, as wide as the widest of them, need up to 1.2 GB more and are no faster.
            "Rec.rec_batch_num": 1,
            # Each thread more maps 0.2 GB, which counts for task_memory_bytes.
            "EngineConfig.onnxruntime.intra_op_num_threads": 2,
        }
    )


def _enlargement(frame: Frame) -> float:
    shorter_side_px, longer_side_px = sorted(map(int, frame.shape[:2]))
    return max(1.0, min(_SMALL_SIDE_PX / shorter_side_px, _SEARCHED_SIDE_PX / longer_side_px))


def _own_corners(box: _Box, crop: Frame, turned: tuple[str, float]) -> _Box:
    """The line's corners from its own top left.

    RapidOCR reads a `crop` of the box, which it turns by 90 degrees against the clock when it is upright, and by
    another 180 when the classifier says so.
    """
    width, height = np.linalg.norm(box[1] - box[0]), np.linalg.norm(box[3] - box[0])
    quarters = int(height > width and crop.shape[1] > crop.shape[0])
    label, score = turned
    if "180" in label and score > _TURNED_SCORE:
        quarters += 2
    return np.roll(box, -quarters, axis=0)


def _corners(box: _Box) -> Corners:
    top_left, top_right, bottom_right, bottom_left = (Point(float(x), float(y)) for x, y in box)
    return top_left, top_right, bottom_right, bottom_left


def _in_rows(lines: list[TextLine]) -> list[TextLine]:
    """The lines as one reads them: rows from top to bottom, each from left to right."""
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=_middle):
        if rows and _middle(line) - _middle(rows[-1][0]) < _SAME_ROW * _height(rows[-1][0]):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: min(corner.x for corner in line.corners))]


def _middle(line: TextLine) -> float:
    return sum(corner.y for corner in line.corners) / len(line.corners)


def _height(line: TextLine) -> float:
    """Across the line, whatever its slant: the distance of its own top left and bottom left."""
    top_left, _, _, bottom_left = line.corners
    return math.dist((top_left.x, top_left.y), (bottom_left.x, bottom_left.y))
