"""From a picture's bytes to an upright frame."""

import cv2
import numpy as np
import numpy.typing as npt

from pivision.errors import ImageUndecodable, OperationFailed
from pivision.vision.failures import translated

Frame = npt.NDArray[np.uint8]
"""BGR, (H, W, 3), uint8, C-contiguous."""

PREVIEW_SIDE_PX = 640
"""The longer side of a preview: a tile of the dashboard on a screen with two pixels for one."""

_PREVIEW_QUALITY = 80

# How to turn a picture upright: whether to swap its axes, then what to flip (cv2.flip's code). EXIF 2.3, 4.6.4 A.
_UPRIGHT: dict[int, tuple[bool, int | None]] = {
    1: (False, None),
    2: (False, 1),
    3: (False, -1),
    4: (False, 0),
    5: (True, None),
    6: (True, 1),
    7: (True, -1),
    8: (True, 0),
}


def decode(data: bytes, orientation: int = 1) -> Frame:
    """Decode JPEG, PNG, WebP or BMP and turn it upright by its EXIF orientation, 1 to 8.

    OpenCV is told to leave the orientation alone: it knows that of a JPEG only, and browsers know all.
    Grey and transparent pictures come back as BGR, too; transparency is dropped.

    Raises ImageUndecodable, OutOfMemory.
    """
    swap_axes, flip = _UPRIGHT[orientation]
    with translated("decoding the image", ImageUndecodable):
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if frame is None:
            raise ImageUndecodable("OpenCV finds no picture in it")
        if swap_axes:
            frame = cv2.transpose(frame)
        if flip is not None:
            frame = cv2.flip(frame, flip)
        return np.asarray(frame, np.uint8)


def jpeg(picture: Frame, quality: int) -> bytes:
    """A BGR picture as a JPEG; `quality` is 1 to 100. Raises RuntimeError when OpenCV cannot write it."""
    is_written, content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not is_written:
        raise RuntimeError(f"OpenCV writes no JPEG of {picture.shape[1]} x {picture.shape[0]} pixels")
    return content.tobytes()


def preview(picture: Frame) -> bytes:
    """A small JPEG of a picture. Raises OperationFailed, OutOfMemory."""
    with translated("making a preview", OperationFailed):
        return jpeg(scaled_down(picture, PREVIEW_SIDE_PX), _PREVIEW_QUALITY)


def scaled_down(picture: Frame, side_px: int) -> Frame:
    """A picture, (H, W, 3) or (H, W), with a longer side of at most `side_px`; smaller ones come back as they are.

    Each pixel of a scaled picture is the mean of those that it stands for, which takes noise away with the details.
    """
    height_px, width_px = picture.shape[:2]
    scale = side_px / max(height_px, width_px)
    if scale >= 1:
        return picture
    size = (max(1, round(width_px * scale)), max(1, round(height_px * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
