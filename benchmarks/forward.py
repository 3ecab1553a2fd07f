"""One network, run forward again and again: `python forward.py RUNTIME FILE SIDE_PX THREADS`.

RUNTIME is opencv or onnxruntime. Run by whatever Python has the runtime that is to be measured; prints the version and
the milliseconds as JSON; none where it does not run.
"""

import json
import os
import sys
import time
from collections.abc import Callable

import numpy as np

_WARM = 3
_MEASURED = 12


def main() -> None:
    """Measure and print."""
    runtime, file, side_px, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    picture = np.random.default_rng(1).random((1, 3, side_px, side_px), np.float32) * 255
    version, forward = (_opencv if runtime == "opencv" else _onnxruntime)(file, picture, threads)
    milliseconds = []
    for number in range(_WARM + _MEASURED):
        began = time.perf_counter()
        try:
            forward()
        except Exception as error:  # noqa: BLE001  # each runtime has its own; that it does not run is a result, too
            sys.stderr.write(f"{file}: {error}\n")
            break
        if number >= _WARM:
            milliseconds.append((time.perf_counter() - began) * 1000)
    json.dump({"runtime": f"{runtime} {version}", "milliseconds": milliseconds}, sys.stdout)


def _opencv(file: str, picture: "np.typing.NDArray[np.float32]", threads: int) -> tuple[str, Callable[[], object]]:
    import cv2

    cv2.setNumThreads(threads)
    network = cv2.dnn.readNetFromONNX(file)
    names = network.getUnconnectedOutLayersNames()

    def forward() -> object:
        network.setInput(picture)
        return network.forward(names)

    return cv2.__version__, forward


def _onnxruntime(file: str, picture: "np.typing.NDArray[np.float32]", threads: int) -> tuple[str, Callable[[], object]]:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return onnxruntime.__version__, lambda: session.run(None, {name: picture})


if __name__ == "__main__":
    main()
