"""Each operation three times on the same picture: the least it could cost, the operation, and through the appliance.

The least is the library's call alone: the network's forward on a picture that is ready for it, zxing-cpp on a grey one,
OpenCV's marker detector. Where an operation is our own steps, or a library's many, it is its own limit. Round by round:
limit and operation in a process that has the worker's environment and nothing else to do, then a POST with ?wait to an
idle appliance with one worker, which loaded its models at its start.
"""

import hashlib
import statistics
import time
from collections.abc import Callable
from multiprocessing.pool import Pool
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks import bare
from benchmarks.table import median, show, spread, verdict
from pivision import picture
from pivision.abilities import require
from pivision.config import ROOT
from pivision.models import Models
from pivision.operations import OperationCall, parse
from pivision.operations.markers import MarkersParams
from tests import weights
from tests.box import Box, running_box

if TYPE_CHECKING:
    from pivision.vision.frame import Frame

ROUNDS = 40
WARM = 5
PAUSE_SECONDS = 0.01
GOAL_OPERATION = 1.15
GOAL_APPLIANCE = 1.25
_PICTURES = ROOT / "tests" / "pictures"
_OF_EACH = {
    "codes": ("qrcode-1.webp", "dog.jpg"),
    "faces": ("astronaut.jpg", "dog.jpg"),
    "objects": ("dog.jpg", "person.jpg"),
    "people": ("person.jpg",),
    "markers": ("dog.jpg",),
    "motion": ("dog.jpg",),
    "quality": ("dog.jpg",),
    "text": ("dog.jpg",),
    "codes,annotate": ("qrcode-1.webp",),
}


class Times(msgspec.Struct):
    """Milliseconds of one round."""

    limit: float | None
    operation: float
    decode: float


def main() -> None:
    """Measure every operation on its pictures and print the table."""
    with (
        weights.folder("yunet", "nanodet") as models,
        running_box(models_dir=models, models_at_start="faces,objects,text") as box,
        bare.process() as pool,
    ):
        pool.apply(_prepare, (str(models),))
        rows = [_row(box, pool, operations, name) for operations, names in _OF_EACH.items() for name in names]
    show(
        "Operations: the limit, the operation, the appliance",
        f"Medians (min-max) of {ROUNDS} interleaved rounds, in ms; one picture at a time. The appliance also reads, "
        "checks, keeps and decodes the picture, and keeps the result; what decoding alone takes stands beside it.",
        ["operation", "picture", "limit", "operation", "x limit", "decode", "appliance", "x limit"],
        rows,
    )


def _row(box: Box, pool: Pool, operations: str, name: str) -> list[str]:
    image = (_PICTURES / name).read_bytes()
    told: list[Times] = []
    posted: list[float] = []
    for number in range(-WARM, ROUNDS):
        time.sleep(PAUSE_SECONDS)
        times = pool.apply(_measure, (image, operations))
        began = time.perf_counter()
        answer = box.post(image, f"{operations}&source=bench", wait=30)
        elapsed = (time.perf_counter() - began) * 1000
        assert answer.json["state"] == "done", answer
        if number >= 0:
            told.append(times)
            posted.append(elapsed)
    limits = [times.limit for times in told if times.limit is not None]
    ours = [times.operation for times in told]
    least = median(limits or ours)
    return [
        operations,
        name,
        spread(limits, 1) if limits else "-",
        spread(ours, 1),
        _ratio(ours, least, GOAL_OPERATION) if limits else "-",
        f"{median([times.decode for times in told]):.1f}",
        spread(posted, 1),
        _ratio(posted, least, GOAL_APPLIANCE),
    ]


def _ratio(values: list[float], least: float, goal: float) -> str:
    ratio = statistics.median(values) / least
    return f"{ratio:.2f}; {verdict(ratio, goal, digits=2)}"


# In the process that has OpenCV, which is set up once

_models: Models
_vision: Any


def _prepare(folder: str) -> None:
    from pivision.vision import Vision

    global _models, _vision  # the process has nothing else
    _models, _vision = Models(Path(folder)), Vision()


def _measure(image: bytes, operations: str) -> Times:
    from pivision.vision import frame
    from pivision.vision.scene import Scene

    began = time.perf_counter()
    upright = frame.decode(image, picture.inspect(image).orientation)
    decode = time.perf_counter() - began
    calls = parse(operations)
    limit = _limit(calls[0], upright)
    limit_ms = None if limit is None else _milliseconds(limit)
    scene = Scene(upright, lambda: upright, {}, lambda jpeg: hashlib.sha256(jpeg).hexdigest())

    def run() -> None:
        for call in calls:
            scene.found[call.name] = _vision.run(call, scene, require(call, _models, None))

    return Times(limit_ms, _milliseconds(run), decode * 1000)


def _milliseconds(does: Callable[[], object]) -> float:
    began = time.perf_counter()
    does()
    return (time.perf_counter() - began) * 1000


def _limit(call: OperationCall, upright: "Frame") -> Callable[[], object] | None:
    """The library's call alone, on what it takes."""
    import cv2
    import numpy as np
    import zxingcpp

    from pivision.vision import opencv

    match call.name:
        case "faces" | "objects" | "people":
            return _forward(call, upright)
        case "codes":
            grey = cv2.cvtColor(upright, cv2.COLOR_BGR2GRAY)
            return lambda: zxingcpp.read_barcodes(grey)
        case "markers":
            grey = cv2.cvtColor(upright, cv2.COLOR_BGR2GRAY)
            detectors = [opencv.marker_detector(name) for name in MarkersParams().dictionaries]
            return lambda: [detect(np.asarray(grey, np.uint8)) for detect in detectors]
    return None


def _forward(call: OperationCall, upright: "Frame") -> Callable[[], object]:
    """The network's forward on the very picture that the operation gives it."""
    from pivision.vision.scene import Scene

    given: list[Any] = []
    model = require(call, _models, None)
    assert model is not None
    network = _vision._network(model)
    forward = network.forward

    def remembering(blob: Any) -> Any:
        given.append(blob)
        return forward(blob)

    network.forward = remembering
    try:
        _vision.run(call, Scene(upright, lambda: None, {}, lambda _: ""), model)
    finally:
        del network.forward
    return lambda: forward(given[0])


if __name__ == "__main__":
    main()
