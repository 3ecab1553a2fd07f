"""What comes and goes between the versions and builds of OpenCV: asked in this place, assumed nowhere.

Seen: 4.6 (Debian 12) has no ArucoDetector, 5.0 no CascadeClassifier, no HOGDescriptor and no cascade files.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

_CASCADE = "haarcascade_frontalface_default.xml"
_DEBIAN_CASCADES = Path("/usr/share/opencv4/haarcascades")  # package opencv-data

Grey = npt.NDArray[np.uint8]


def face_cascade() -> Path | None:
    """The file of the Haar cascade for faces, if this OpenCV can use one and it is there."""
    if not hasattr(cv2, "CascadeClassifier"):
        return None
    data = getattr(cv2, "data", None)
    folders = [Path(data.haarcascades)] if data is not None else []
    return next((file for folder in (*folders, _DEBIAN_CASCADES) if (file := folder / _CASCADE).exists()), None)


def has_people_detector() -> bool:
    """Whether there is HOGDescriptor with its detector of people."""
    return hasattr(cv2, "HOGDescriptor") and hasattr(cv2, "HOGDescriptor_getDefaultPeopleDetector")


def marker_detector(dictionary: str) -> Callable[[Grey], tuple[Sequence[Any], Any]]:
    """A function that finds the markers of a dictionary (`4X4_50`) in a grey picture: their corners, their ids.

    Corners are arrays (1, 4, 2) of float32, from the marker's own top left on; ids are an array (N, 1), or None.
    """
    number = getattr(cv2.aruco, f"DICT_{dictionary}")
    if hasattr(cv2.aruco, "ArucoDetector"):
        parameters = cv2.aruco.DetectorParameters()
        parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
        detector = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(number), parameters)
        return lambda grey: detector.detectMarkers(grey)[:2]
    aruco: Any = cv2.aruco  # before 4.7
    old_parameters = aruco.DetectorParameters_create()
    old_parameters.cornerRefinementMethod = aruco.CORNER_REFINE_SUBPIX
    old_dictionary = aruco.Dictionary_get(number)

    def detect(grey: Grey) -> tuple[Sequence[Any], Any]:
        corners, ids, _rejected = aruco.detectMarkers(grey, old_dictionary, parameters=old_parameters)
        return corners, ids

    return detect
