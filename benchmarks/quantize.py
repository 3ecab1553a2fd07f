"""Makes an int8 network of an FP32 one: `python -m benchmarks.quantize FILE SIDE_PX TARGET`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from pivision.config import ROOT
from pivision.vision import frame

_PHOTOGRAPHS = ("dog.jpg", "person.jpg", "astronaut.jpg")


class _Photographs(CalibrationDataReader):  # type: ignore[misc]  # untyped
    def __init__(self, name: str, side_px: int) -> None:
        files = [ROOT / "tests" / "pictures" / photograph for photograph in _PHOTOGRAPHS]
        blobs = (cv2.dnn.blobFromImage(frame.decode(file.read_bytes()), 1, (side_px, side_px)) for file in files)
        self._blobs: Iterator[dict[str, Any]] = ({name: blob} for blob in blobs)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._blobs, None)


def main() -> None:
    """Write TARGET."""
    file, side_px, target = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    onnxruntime.set_default_logger_severity(3)
    name = onnxruntime.InferenceSession(file).get_inputs()[0].name
    quantize_static(
        str(file),
        str(target),
        _Photographs(name, side_px),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


if __name__ == "__main__":
    main()
