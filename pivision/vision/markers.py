"""ArUco and AprilTag markers, found by OpenCV, and where they are in space."""

import functools

import cv2
import numpy as np
import numpy.typing as npt

from pivision.operations.geometry import Point
from pivision.operations.markers import Marker, MarkersParams, MarkersResult, Pose, Vector
from pivision.vision import opencv
from pivision.vision.frame import Frame

_detector = functools.cache(opencv.marker_detector)  # unpacking a dictionary takes longer than a small picture

# A marker's corners by its middle, for a side of 1, in the order that SOLVEPNP_IPPE_SQUARE demands: x to the marker's
# right, y to its top, z out of its face.
_SQUARE = np.array([[-1, 1, 0], [1, 1, 0], [1, -1, 0], [-1, -1, 0]], np.float64) / 2

_Corners = npt.NDArray[np.float64]


def find_markers(frame: Frame, params: MarkersParams) -> MarkersResult:
    """Find the markers of the wanted dictionaries in a BGR frame (H, W, 3).

    They come by dictionary, in the order of `params`, then by id. Corners are in pixels of the frame, measured from the
    middle of its first pixel as OpenCV's calibration does, and follow the marker: its own top left comes first, and an
    AprilTag's is that of its authors' drawing. One marker may belong to several dictionaries (all of 4X4_50 are
    4X4_100, too), and is then found in each.

    Method: Garrido-Jurado et al., "Automatic generation and detection of highly reliable fiducial markers under
    occlusion", Pattern Recognition 47 (2014), as OpenCV has it.
    """
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    markers = []
    for dictionary in dict.fromkeys(params.dictionaries):
        found, ids = _detector(dictionary)(np.asarray(grey, np.uint8))
        if ids is None:
            continue
        for marker_id, corners in sorted(zip(np.ravel(ids).tolist(), found, strict=True), key=lambda pair: pair[0]):
            markers.append(_marker(dictionary, marker_id, np.asarray(corners, np.float64).reshape(4, 2), params))
    return MarkersResult(tuple(markers))


def _marker(dictionary: str, marker_id: int, corners: _Corners, params: MarkersParams) -> Marker:
    top_left, top_right, bottom_right, bottom_left = (Point(x, y) for x, y in corners.tolist())
    return Marker(dictionary, marker_id, (top_left, top_right, bottom_right, bottom_left), _pose(corners, params))


def _pose(corners: _Corners, params: MarkersParams) -> Pose | None:
    """Where the marker is; None without a camera, and where no place before this camera explains the corners.

    Of a small or distant marker that faces the camera, two poses look nearly alike; the one that fits better is taken.
    Source: Collins and Bartoli, "Infinitesimal plane-based pose estimation", IJCV 109 (2014).
    """
    if params.camera_matrix is None or params.marker_side_metres is None:
        return None
    camera = np.array(params.camera_matrix, np.float64)
    distortion = np.array(params.distortion, np.float64)
    square = _SQUARE * params.marker_side_metres
    is_solved, rotation, translation = cv2.solvePnP(square, corners, camera, distortion, flags=cv2.SOLVEPNP_IPPE_SQUARE)
    if not is_solved or translation[2, 0] <= 0:
        return None
    projected, _derivatives = cv2.projectPoints(square, rotation, translation, camera, distortion)
    error_px = np.linalg.norm(projected.reshape(4, 2) - corners, axis=1).mean()
    if not np.isfinite([*translation.ravel(), *rotation.ravel(), error_px]).all():  # a camera that cannot be
        return None
    return Pose(
        translation_metres=Vector(*translation.ravel().tolist()),
        rotation_degrees=Vector(*np.degrees(rotation).ravel().tolist()),
        reprojection_error_px=float(error_px),
    )
