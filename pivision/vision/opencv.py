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


def stand_ins() -> dict[str, str]:
    """What can look without a model, by operation; nothing since 5.0."""
    return {
        **({"faces": "haar"} if face_cascade() is not None else {}),
        **({"people": "hog"} if has_people_detector() else {}),
    }


def marker_detector(dictionary: str) -> Callable[[Grey], tuple[Sequence[Any], Any]]:
    """A function that finds the markers of a dictionary (`4X4_50`) in a grey picture: their corners, their ids.

    Corners are arrays (1, 4, 2) of float32, from the marker's own top left on; ids are an array (N, 1), or None.
    """
    number = getattr(cv2.aruco, f"DICT_{dictionary}")
    detect = _detector(number) if hasattr(cv2.aruco, "ArucoDetector") else _detector_before_4_7(number)
    if not _is_upside_down(dictionary, cv2.aruco.getPredefinedDictionary(number)):
        return detect

    def detect_upright(grey: Grey) -> tuple[Sequence[Any], Any]:
        corners, ids = detect(grey)
        return [np.roll(four, 2, axis=1) for four in corners], ids

    return detect_upright


def _detector(number: int) -> Callable[[Grey], tuple[Sequence[Any], Any]]:
    parameters = _tuned(cv2.aruco.DetectorParameters())
    detector = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(number), parameters)
    return lambda grey: detector.detectMarkers(grey)[:2]


def _detector_before_4_7(number: int) -> Callable[[Grey], tuple[Sequence[Any], Any]]:
    aruco: Any = cv2.aruco
    parameters = _tuned(aruco.DetectorParameters_create())
    dictionary = aruco.getPredefinedDictionary(number)

    def detect(grey: Grey) -> tuple[Sequence[Any], Any]:
        corners, ids, _rejected = aruco.detectMarkers(grey, dictionary, parameters=parameters)
        return corners, ids

    return detect


def _tuned(parameters: Any) -> Any:
    """Corners finer than a pixel, and the marker's own instead of its paper's.

    Measured on drawn markers with sides of 20 to 200 pixels: with OpenCV's own settings the worst corner was 1.8 pixels
    off, with these 0.6, and 1.1 before 4.9, which refines within a number of pixels however small the cells are.
    """
    parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    if hasattr(parameters, "relativeCornerRefinmentWinSize"):  # since 4.9
        parameters.cornerRefinementWinSize = 5
        parameters.relativeCornerRefinmentWinSize = 0.7  # of a cell
    else:
        parameters.cornerRefinementWinSize = 3
    parameters.minMarkerDistanceRate = 0.03  # 0.125 (before 4.7: 0.05) may take the edge of the paper, one cell away
    return parameters


# The first eight cells of tag 0, row by row, white as 1, as the families' authors draw it
# (https://github.com/AprilRobotics/apriltag-imgs). OpenCV up to 5.0 has every AprilTag upside down:
# https://github.com/opencv/opencv/pull/28823
_FIRST_CELLS = {"APRILTAG_16h5": 0x23, "APRILTAG_25h9": 0xAA, "APRILTAG_36h10": 0x1C, "APRILTAG_36h11": 0xD5}


def _is_upside_down(name: str, dictionary: Any) -> bool:
    return name in _FIRST_CELLS and int(dictionary.bytesList.flat[0]) != _FIRST_CELLS[name]
