"""From a picture's bytes to an upright frame."""

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pivision import picture
from pivision.errors import ImageUndecodable, OperationFailed
from pivision.vision import bitfields, decoder_warnings, transparency
from pivision.vision.failures import translated

Frame = npt.NDArray[np.uint8]
"""BGR, (H, W, 3), uint8, C-contiguous."""

PREVIEW_SIDE_PX = 640
"""The longer side of a preview: a tile of the dashboard on a screen with two pixels for one."""

_PREVIEW_QUALITY = 80
_WHITE = 255

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


class Decoded(NamedTuple):
    """An upright frame, and what the decoder had to say of the file."""

    frame: Frame
    warnings: tuple[str, ...]


def decode(data: bytes, orientation: int = 1) -> Frame:
    """Decode JPEG, PNG, WebP or BMP and turn it upright by its EXIF orientation, 1 to 8.

    OpenCV is told to leave the orientation alone: it knows that of a JPEG only, and browsers know all.
    Grey and transparent images come back as BGR, too; transparency is laid on white, as paper and browsers have it.

    Raises ImageUndecodable, ImageTooComplex, OutOfMemory.
    """
    return decode_with_warnings(data, orientation).frame


def decode_with_warnings(data: bytes, orientation: int = 1) -> Decoded:
    """Decode as `decode` does, and keep what the decoder says of damage that it has mended by guesses."""
    swap_axes, flip = _UPRIGHT[orientation]
    with translated("decoding the image", ImageUndecodable):
        with decoder_warnings.heard() as warnings:
            stored = bitfields.decode(data)
            if stored is None:
                stored = _by_opencv(picture.essential(data))
        upright: cv2.typing.MatLike = transparency.on_white(stored)
        if swap_axes:
            upright = cv2.transpose(upright)
        if flip is not None:
            upright = cv2.flip(upright, flip)
        return Decoded(np.asarray(upright, np.uint8), tuple(warnings))


def _by_opencv(data: bytes) -> Frame:
    """Decode to (H, W, 3), or to (H, W, 4) where there is an alpha channel."""
    flags = cv2.IMREAD_UNCHANGED if picture.has_alpha(data) else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    decoded = _read(data, flags)
    if decoded.dtype == np.uint16:
        decoded = np.right_shift(decoded, 8)  # as libpng does where there is no alpha
    frame = np.asarray(decoded, np.uint8)
    if (level := picture.transparent_grey(data)) is not None:
        frame[_read(data, cv2.IMREAD_UNCHANGED) == level] = _WHITE
    return frame


def _read(data: bytes, flags: int) -> npt.NDArray[np.integer[Any]]:
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if decoded is None:
        raise ImageUndecodable("OpenCV finds no picture in it")
    return np.asarray(decoded)


def jpeg(frame: Frame, quality: int) -> bytes:
    """A BGR picture as a JPEG; `quality` is 1 to 100. Raises RuntimeError when OpenCV cannot write it."""
    is_written, content = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not is_written:
        raise RuntimeError(f"OpenCV writes no JPEG of {frame.shape[1]} x {frame.shape[0]} pixels")
    return content.tobytes()


def preview(frame: Frame) -> bytes:
    """A small JPEG of a picture. Raises OperationFailed, OutOfMemory."""
    with translated("making a preview", OperationFailed):
        return jpeg(scaled_down(frame, PREVIEW_SIDE_PX), _PREVIEW_QUALITY)


def scaled_down(frame: Frame, side_px: int) -> Frame:
    """A picture, (H, W, 3) or (H, W), with a longer side of at most `side_px`; smaller ones come back as they are.

    Each pixel of a scaled picture is the mean of those that it stands for, which takes noise away with the details.
    """
    height_px, width_px = frame.shape[:2]
    scale = side_px / max(height_px, width_px)
    if scale >= 1:
        return frame
    size = (max(1, round(width_px * scale)), max(1, round(height_px * scale)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
