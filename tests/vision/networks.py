"""What the tests of the networks share: the networks, loaded once, and what to compare boxes with."""

import functools
import importlib
import importlib.util
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np

from pivision.models import Installed, Models
from pivision.models.catalogue import CATALOGUE
from pivision.models.coco import LABELS
from pivision.operations.geometry import Box
from pivision.vision.frame import Frame
from pivision.vision.network import Floats, Network, Outputs
from tests.vision.conftest import weights

Edges = tuple[float, float, float, float]  # left, top, right, bottom
Forward = Callable[[Path, Floats], Outputs]


def owned(folder: Path, name: str, file: Path, labels: tuple[str, ...], *, family: str, side_px: int) -> Installed:
    """A model as its owner installs it: the file, and a manifest beside it."""
    if not (folder / file.name).exists():
        (folder / file.name).symlink_to(file)
    listed = ", ".join(f'"{label}"' for label in labels)
    (folder / f"{name}.toml").write_text(
        f'file = "{file.name}"\nfamily = "{family}"\ninput_side_px = {side_px}\nlabels = [{listed}]\n'
    )
    return Models(folder).choose("objects", name)


HANGING_LOADER = """
import os, signal, sys
if "pivision.vision.trial" in sys.orig_argv and sys.orig_argv[-1] == os.environ.get("PYTHON_TRIAL", sys.orig_argv[-1]):
    import cv2
    def load(path):
        with open(os.environ["PYTHON_TELLS"], "w") as file:
            print(os.getpid(), file=file)
        while True:
            signal.pause()
    cv2.dnn.readNetFromONNX = load
"""
"""A sitecustomize.py with which trials, or that of the model PYTHON_TRIAL, hang once their pid stands in PYTHON_TELLS.

A worker keeps variables whose names begin so.
"""


@functools.cache
def network(name: str) -> Network:
    """The network of a model of the catalogue, or YOLOX-Nano as an owner has it: `yolox_nano`."""
    if name == "yolox_nano":
        file = weights("yolox_nano.onnx")
        with tempfile.TemporaryDirectory() as folder:
            installed = owned(Path(folder), name, file, LABELS, family="yolox", side_px=416)
        return Network(msgspec.structs.replace(installed, path=file))
    (model,) = (model for model in CATALOGUE if model.name == name)
    return Network(Models(weights(model.file).parent).require(model))


def edges(box: Box) -> Edges:
    return box.x, box.y, box.x + box.width, box.y + box.height


def iou(one: Edges, other: Edges) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(0.0, width) * max(0.0, height)
    areas = sum((right - left) * (bottom - top) for left, top, right, bottom in (one, other))
    return common / (areas - common)


def assert_within(frame: Frame, box: Box) -> None:
    height_px, width_px = frame.shape[:2]
    assert box.width > 0
    assert box.height > 0
    assert 0 <= box.x < box.x + box.width <= width_px
    assert 0 <= box.y < box.y + box.height <= height_px


def noise(width_px: int, height_px: int, seed: int) -> Frame:
    """Random colours, or random greys where the seed is odd."""
    frame = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), np.uint8)
    return np.repeat(frame[:, :, :1], 3, axis=2) if seed % 2 else frame


def by_opencv(file: Path, blob: Floats) -> Outputs:
    net = cv2.dnn.readNetFromONNX(str(file))
    net.setInput(blob)
    names = net.getUnconnectedOutLayersNames()
    return {name: np.asarray(array, np.float32) for name, array in zip(names, net.forward(names), strict=True)}


def by_onnxruntime(file: Path, blob: Floats) -> Outputs:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # else it keeps a diary and sends it to its maker
    onnxruntime: Any = importlib.import_module("onnxruntime")
    onnxruntime.set_default_logger_severity(3)  # errors only
    session = onnxruntime.InferenceSession(os.fspath(file), providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    names = [given.name for given in session.get_outputs()]
    return dict(zip(names, session.run(names, {taken.name: blob}), strict=True))


FORWARDS = [by_opencv, *([by_onnxruntime] if importlib.util.find_spec("onnxruntime") else [])]
"""What runs a network for a plain reference: ONNX Runtime, too, where it is installed."""


def suppressed(found: list[tuple[int, float, Edges]], max_overlap: float) -> list[tuple[int, float, Edges]]:
    """Non-maximum suppression of (class, score, edges), as papers write it."""
    kept: list[tuple[int, float, Edges]] = []
    for label, score, box in sorted(found, key=lambda each: -each[1]):
        if not any(label == other and iou(box, surer) > max_overlap for other, _score, surer in kept):
            kept.append((label, score, box))
    return kept
