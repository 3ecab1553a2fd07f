"""BMP with 16 or 32 bits for each pixel, decoded by its masks: OpenCV takes other masks than the usual for these.

Red in the top byte came back black, red and blue swapped came back swapped, with 4.6, 4.14 and 5.0.
"""

import numpy as np
import numpy.typing as npt

from pivision.formats import bmp

_ROWS = 64  # at once, so that a large image needs little memory on top


def decode(data: bytes) -> npt.NDArray[np.uint8] | None:
    """Return BGR (H, W, 3), or BGRA (H, W, 4) where there is an alpha; None for any other image."""
    layout = bmp.bitfields(data) if bmp.SIGNATURE.match(data) else None
    if layout is None:
        return None
    words = np.ndarray(
        (layout.height_px, layout.width_px),
        np.dtype(f"<u{layout.bits // 8}"),
        data,
        layout.offset_bytes,
        (layout.row_bytes, layout.bits // 8),
    )
    if not layout.is_top_down:
        words = words[::-1]
    red, green, blue, alpha = layout.masks
    # An alpha that is nowhere set was meant to be none: many programs write zeros there.
    masks = (blue, green, red, alpha) if alpha and _has_any(words, alpha) else (blue, green, red)
    frame = np.zeros((*words.shape, len(masks)), np.uint8)
    for channel, mask in enumerate(masks):
        if not mask:
            continue
        shift = (mask & -mask).bit_length() - 1
        largest = mask >> shift
        for top in range(0, layout.height_px, _ROWS):
            levels = ((words[top : top + _ROWS] & mask) >> shift).astype(np.uint64)
            frame[top : top + _ROWS, :, channel] = (levels * 255 + largest // 2) // largest
    return frame


def _has_any(words: npt.NDArray[np.unsignedinteger], mask: int) -> bool:
    return any((words[top : top + _ROWS] & mask).any() for top in range(0, len(words), _ROWS))
