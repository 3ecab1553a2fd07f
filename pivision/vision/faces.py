"""Faces: with YuNet, or with a Haar cascade where no model is installed and OpenCV still has one."""

import functools
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pivision.errors import ModelMissing
from pivision.models import INSTALL
from pivision.operations.faces import Face, FacesParams, FacesResult
from pivision.vision import boxes, letterbox, opencv, yunet
from pivision.vision.frame import Frame
from pivision.vision.network import Network

_AGREEING = 8  # places and sizes that take the same for a face; with OpenCV's 3, dogs have several


def find_faces(frame: Frame, params: FacesParams, network: Network | None) -> FacesResult:
    """Find the faces in a BGR frame (H, W, 3).

    Without a network, the cascade looks (Viola and Jones, "Rapid Object Detection using a Boosted Cascade of Simple
    Features", CVPR 2001): it knows no scores and no landmarks, and its largest face comes first.

    Raises ModelUnusable, OutOfMemory; ModelMissing where there is neither a network nor a cascade.
    """
    if network is not None:
        return FacesResult(network.installed.model.name, yunet.find(frame, params, network))
    if (file := opencv.face_cascade()) is None:
        raise ModelMissing(f"OpenCV {cv2.__version__} has no cascade for faces: {INSTALL} faces")
    small, placement = letterbox.shrunk(frame, params.max_side_px)
    found = _cascade(file).detectMultiScale(
        cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)), minNeighbors=_AGREEING
    )
    corners = np.array([(x, y, x + width, y + height) for x, y, width, height in found], np.float64).reshape(-1, 2, 2)
    cut = boxes.within(frame, placement.on_frame(corners).reshape(-1, 4))
    faces = [Face(box, None, None) for box in cut if box is not None]
    return FacesResult("haar", tuple(sorted(faces, key=lambda face: -face.box.width * face.box.height)))


@functools.cache
def _cascade(file: Path) -> Any:  # of a class that 5.0 does not have
    native: Any = cv2
    return native.CascadeClassifier(str(file))
