"""The vision: one file for each operation, array in and result out. No store, no settings, no HTTP.

A frame is a BGR array (H, W, 3) of uint8, upright; the results are the types of `pivision.operations`.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from pivision.errors import OperationFailed
from pivision.operations import OperationCall
from pivision.vision import codes, quality
from pivision.vision.failures import translated
from pivision.vision.frame import Frame

_FUNCTIONS: dict[str, Callable[[Frame, Any], msgspec.Struct]] = {
    "codes": codes.read_codes,
    "quality": quality.measure_quality,
}


def run(call: OperationCall, frame: Frame) -> msgspec.Struct:
    """Run one operation on an upright frame and return its result, as `pivision.operations` declares it.

    Raises OutOfMemory, OperationFailed.
    """
    with translated(f"{call.name} on {frame.shape[1]} x {frame.shape[0]} pixels", OperationFailed):
        if call.name not in _FUNCTIONS:
            raise OperationFailed(f"there is no {call.name} yet")
        return _FUNCTIONS[call.name](frame, call.params)
