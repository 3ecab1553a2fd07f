"""Real faults for real workers: Python imports this file at its start from wherever PYTHONPATH says.

A picture that carries b"PIVISION-FAULT:NAME:" makes the worker that decodes it fail as bad native code would. Only
workers are touched; server and health never import OpenCV.
"""

import ctypes
import re
import sys
import time
from typing import Any

_MARKER = re.compile(rb"PIVISION-FAULT:([A-Z]+):([0-9.]*);")


def _crash(_: float) -> None:
    ctypes.string_at(0)


def _hang(_: float) -> None:
    in_c_with_the_gil = ctypes.PyDLL(None)
    while True:
        in_c_with_the_gil.pause()


_FAULTS = {b"SEGFAULT": _crash, b"HANG": _hang, b"SLOW": time.sleep}


def _break_the_decoder() -> None:
    import cv2

    decode = cv2.imdecode

    def imdecode(data: Any, *arguments: Any) -> Any:
        if marker := _MARKER.search(data.tobytes()):
            _FAULTS[marker[1]](float(marker[2] or 0))
        return decode(data, *arguments)

    cv2.imdecode = imdecode  # type: ignore[assignment]  # its declaration has overloads


if "pivision.worker" in sys.orig_argv:
    _break_the_decoder()
