"""People: with a network that knows them, or with HOG where no model is installed and OpenCV still has it."""

import functools
from typing import Any

import cv2
import numpy as np

from pivision.errors import ModelMissing
from pivision.models import INSTALL
from pivision.operations.people import PeopleParams, PeopleResult, Person
from pivision.vision import boxes, letterbox, objects, opencv
from pivision.vision.frame import Frame
from pivision.vision.network import Network

_LABEL = "person"

# HOG (Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005)
_SIDE_PX = 640  # of the longer side that it looks at: people from about 100 pixels at this size
_WINDOW_PX = (64, 128)  # in smaller pictures, OpenCV 4 reads and writes beside them
_MARGINS = np.array((1 / 4, 1 / 8))  # of the window: a person was in the middle of it, 16 pixels from each side


def find_people(frame: Frame, params: PeopleParams, network: Network | None) -> PeopleResult:
    """Count the people in a BGR frame (H, W, 3).

    Raises ModelUnusable, OutOfMemory; ModelMissing where there is neither a network nor HOG.
    """
    if network is None:
        people = _by_hog(frame, params.min_score)
        return PeopleResult("hog", len(people), people)
    found = objects.detections(frame, (_LABEL,), params.min_score, network)
    people = tuple(Person(each.score, each.box) for each in found)
    return PeopleResult(network.installed.model.name, len(people), people)


def _by_hog(frame: Frame, min_score: float) -> tuple[Person, ...]:
    """HOG tells how far beyond the border between people and no people something is: 0 and more, seldom above 3.

    The score is 1 - exp(-that): 0.26 for 0.3, where it is wrong more often than right; 0.63 for 1; 0.95 for 3.
    """
    if not opencv.has_people_detector():
        raise ModelMissing(f"OpenCV {cv2.__version__} has no detector of people: {INSTALL} objects")
    small, placement = letterbox.shrunk(frame, _SIDE_PX)
    right, below = (max(0, least - side) for least, side in zip(_WINDOW_PX, small.shape[1::-1], strict=True))
    found, distances = _hog().detectMultiScale(cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_REPLICATE))
    windows = np.array(found, np.float64).reshape(-1, 2, 2)  # left and top, width and height
    corners = np.stack(
        (windows[:, 0] + windows[:, 1] * _MARGINS, windows[:, 0] + windows[:, 1] * (1 - _MARGINS)), axis=1
    )
    scores = 1 - np.exp(-np.maximum(0, np.array(distances, np.float64).ravel()))
    order = [number for number in np.argsort(-scores) if scores[number] >= min_score]
    cut = boxes.within(frame, placement.on_frame(corners[order]).reshape(-1, 4))
    return tuple(Person(score, box) for score, box in zip(scores[order].tolist(), cut, strict=True) if box is not None)


@functools.cache
def _hog() -> Any:  # of a class that 5.0 does not have
    native: Any = cv2
    hog = native.HOGDescriptor()
    hog.setSVMDetector(native.HOGDescriptor_getDefaultPeopleDetector())
    return hog
