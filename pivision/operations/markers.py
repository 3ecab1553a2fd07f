"""What `markers` takes and gives."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pivision.operations.geometry import Corners

Dictionary = Literal[
    "4X4_50", "4X4_100", "4X4_250", "4X4_1000", "5X5_50", "5X5_100", "5X5_250", "5X5_1000",
    "6X6_50", "6X6_100", "6X6_250", "6X6_1000", "7X7_50", "7X7_100", "7X7_250", "7X7_1000",
    "ARUCO_ORIGINAL", "APRILTAG_16h5", "APRILTAG_25h9", "APRILTAG_36h10", "APRILTAG_36h11",
]  # fmt: skip
_DISTORTION_LENGTHS = (0, 4, 5, 8, 12, 14)  # what OpenCV's camera model knows

Row = tuple[float, float, float]


class MarkersParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which markers to look for, and what is needed to tell where they are in space."""

    dictionaries: Annotated[
        tuple[Dictionary, ...], Meta(min_length=1, max_length=8, description="The families of markers to look for.")
    ] = ("4X4_50", "APRILTAG_36h11")
    camera_matrix: Annotated[
        tuple[Row, Row, Row] | None,
        Meta(description="[[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in pixels of the upright image; null: no pose."),
    ] = None
    distortion: Annotated[
        tuple[float, ...],
        Meta(description="OpenCV's distortion coefficients k1, k2, p1, p2, …: none, 4, 5, 8, 12 or 14 of them."),
    ] = ()
    marker_side_metres: Annotated[
        Annotated[float, Meta(gt=0, le=1000)] | None,
        Meta(description="The length of a marker's black side; null: no pose."),
    ] = None

    def __post_init__(self) -> None:
        if (self.camera_matrix is None) != (self.marker_side_metres is None):
            raise ValueError("a pose needs camera_matrix and marker_side_metres; give both or neither")
        if self.distortion and self.camera_matrix is None:
            raise ValueError("distortion counts together with camera_matrix only")
        if len(self.distortion) not in _DISTORTION_LENGTHS:
            raise ValueError("distortion takes none, 4, 5, 8, 12 or 14 numbers")
        if self.camera_matrix is not None:
            (fx, skew, _), (zero, fy, _), last = self.camera_matrix
            if fx <= 0 or fy <= 0 or (skew, zero) != (0, 0) or last != (0, 0, 1):
                raise ValueError("camera_matrix is [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] with fx and fy above 0")


class Vector(msgspec.Struct, frozen=True):
    """In the camera's axes: x to the right, y down, z away from it."""

    x: float
    y: float
    z: float


class Pose(msgspec.Struct, frozen=True):
    """Where a marker is, seen from the camera."""

    translation_metres: Vector  # the marker's middle
    rotation_degrees: Vector  # the axis to turn around, as long as the angle; the marker's z points out of its face
    reprojection_error_px: float  # how far the corners are, on average, from where this pose would show them


class Marker(msgspec.Struct, frozen=True):
    """One marker."""

    dictionary: str
    id: int
    corners: Corners
    pose: Pose | None


class MarkersResult(msgspec.Struct, frozen=True):
    """Every marker; empty when there is none."""

    markers: tuple[Marker, ...]
