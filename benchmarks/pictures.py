"""Pictures as cameras and telephones send them, made from those of the tests.

They are made in a process that ends with it: OpenCV, mapped by the benchmarks as well, would take its share of the
worker's memory off the account.
"""

import functools
import multiprocessing
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from pivision.config import ROOT

if TYPE_CHECKING:
    from pivision.vision.frame import Frame

P = ParamSpec("P")
T = TypeVar("T")

_FOLDER = ROOT / "tests" / "pictures"
_SIZES_PX = ((640, 480), (1280, 720), (1920, 1080))


def photograph(width_px: int, height_px: int, code: str | None = None) -> bytes:
    """A JPEG of the astronaut at this size; in its lower right quarter the photograph of a code, if one is named."""
    return _apart(_photograph, width_px, height_px, 85, code)


def of_size(size_bytes: int) -> bytes:
    """A JPEG photograph of about this many bytes."""
    return _apart(_of_size, size_bytes)


@functools.cache
def mix() -> tuple[bytes, ...]:
    """What an appliance gets in a day: small pictures of codes as they are, and photographs with and without a code."""
    return _apart(_mix)


def _apart(make: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(make, arguments, options)


def _mix() -> tuple[bytes, ...]:
    codes = sorted(path.name for path in _FOLDER.iterdir() if path.suffix in (".webp", ".png"))
    small = [(_FOLDER / name).read_bytes() for name in codes]
    plain = [_photograph(*size) for size in _SIZES_PX]
    with_code = [_photograph(*size, code=code) for size in _SIZES_PX for code in codes[:4]]
    return (*small, *plain, *with_code)


def _of_size(size_bytes: int) -> bytes:
    candidates = [_photograph(800, 600, quality) for quality in range(40, 100, 3)]
    return min(candidates, key=lambda jpeg: abs(len(jpeg) - size_bytes))


def _photograph(width_px: int, height_px: int, quality: int = 85, code: str | None = None) -> bytes:
    import cv2

    frame = _filled("astronaut.jpg", width_px, height_px)
    if code:
        quarter = _filled(code, width_px // 2, height_px // 2)
        frame[-quarter.shape[0] :, -quarter.shape[1] :] = quarter
    encoded, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert encoded
    return data.tobytes()


def _filled(name: str, width_px: int, height_px: int) -> "Frame":
    """A test's picture scaled and cropped to the size, as a camera would frame it."""
    import cv2
    import numpy as np

    from pivision.vision.frame import decode

    frame = decode((_FOLDER / name).read_bytes())
    scale = max(width_px / frame.shape[1], height_px / frame.shape[0])
    scaled = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return np.asarray(scaled[:height_px, :width_px], np.uint8)
