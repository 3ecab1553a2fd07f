"""A network: one ONNX file, loaded once, that takes a picture and gives arrays of numbers."""

import cv2
import numpy as np
import numpy.typing as npt

from pivision.errors import ModelUnusable
from pivision.models import Installed
from pivision.vision.failures import translated
from pivision.vision.frame import Frame

Floats = npt.NDArray[np.float32]
Outputs = dict[str, Floats]
"""What a network gives, by the names in its file. Their order is the file's in 5.0, and another in 4.x."""


_KEPT_AREAS = 4  # times the area of the usual input


class Network:
    """The network of an installed model. Raises ModelUnusable where this OpenCV cannot load its file, OutOfMemory.

    Loading may also end the process, for OpenCV trusts what a file says of its sizes: `trial` looks first.
    """

    def __init__(self, installed: Installed) -> None:
        self.installed = installed
        self._net = self._load()
        self._names = self._net.getUnconnectedOutLayersNames()

    def _load(self) -> cv2.dnn.Net:
        with translated(f"OpenCV {cv2.__version__} cannot load {self.installed.path}", ModelUnusable):
            return cv2.dnn.readNetFromONNX(str(self.installed.path))

    def forward(self, blob: Floats) -> Outputs:
        """Run it on a picture (1, 3, H, W).

        Sizes may change from picture to picture: with YuNet in 4.6, 4.14 and 5.0, 416 x 640 and 640 x 416 by turns
        took as long as either alone. In 4.x, the first picture of a size took 8 ms more, once.

        A network keeps its buffers of the largest picture: 1.1 GB after one of 4,096 x 4,096 pixels. So one that is
        much larger than usual is given to a network of its own, which goes with it; YuNet is loaded in 2 ms.

        Raises ModelUnusable where it does not take this size, OutOfMemory.
        """
        height_px, width_px = blob.shape[2:]
        doing = f"OpenCV {cv2.__version__} cannot run {self.installed.path} on {width_px} x {height_px} pixels"
        is_large = height_px * width_px > _KEPT_AREAS * self.installed.model.input_side_px**2
        net = self._load() if is_large else self._net
        with translated(doing, ModelUnusable):
            net.setInput(blob)
            arrays = net.forward(self._names)
        return {name: np.asarray(array, np.float32) for name, array in zip(self._names, arrays, strict=True)}

    def misfit(self, outputs: Outputs, wanted: str) -> ModelUnusable:
        """The error to raise where what the network gives is not `wanted`."""
        shapes = ", ".join(f"{name} {array.shape}" for name, array in outputs.items())
        model = self.installed.model
        return ModelUnusable(f"{self.installed.path} is no {model.family} network {wanted}: it gives {shapes}")


def blob(
    picture: Frame,
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0),
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Floats:
    """A BGR picture (H, W, 3) as what networks take: (1, 3, H, W), BGR, each plane less its mean, by its deviation.

    Not cv2.dnn.blobFromImage, which knows one deviation for all planes before 4.8, and takes twice as long.
    """
    planes = np.empty((1, 3, *picture.shape[:2]), np.float32)
    for number, plane in enumerate(cv2.split(picture)):
        np.multiply(plane, np.float32(1 / deviation[number]), out=planes[0, number])
        if mean[number]:
            planes[0, number] -= np.float32(mean[number] / deviation[number])
    return planes
