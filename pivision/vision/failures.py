"""What OpenCV and its companions raise, as errors of PiVision: in one place for decoding and for every operation."""

import contextlib
from collections.abc import Iterator

import cv2

from pivision.errors import OutOfMemory, PiVisionError


@contextlib.contextmanager
def translated(doing: str, refusal: type[PiVisionError]) -> Iterator[None]:
    """Raise OutOfMemory where memory ran out while `doing`, and `refusal` for whatever else the native code refuses."""
    try:
        yield
    except MemoryError:
        raise OutOfMemory(doing) from None
    except cv2.error as error:
        if getattr(error, "code", None) == cv2.Error.StsNoMem:
            raise OutOfMemory(doing) from None
        reason = getattr(error, "err", "") or str(error) or "OpenCV gives no reason"  # 4.6 has raised one with nothing
        raise refusal(f"{doing}: {reason}") from error
    except (ValueError, RuntimeError) as error:  # what bindings raise for what their C++ throws
        raise refusal(f"{doing}: {error}") from error
