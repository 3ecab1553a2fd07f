"""What OpenCV is asked, and model files that cannot be used: each is refused in words that lead on."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pivision.errors import ModelUnusable
from pivision.models import Installed, Models
from pivision.models.coco import LABELS
from pivision.operations.faces import FacesParams
from pivision.operations.objects import ObjectsParams
from pivision.vision import opencv
from pivision.vision.faces import find_faces
from pivision.vision.network import Network, blob
from pivision.vision.objects import find_objects
from tests.vision.conftest import weights
from tests.vision.networks import by_opencv, network, noise, owned

YUNET = "face_detection_yunet_2023mar.onnx"
NANODET = "object_detection_nanodet_2022nov.onnx"
YOLOX_NANO = "yolox_nano.onnx"


def test_what_this_opencv_has() -> None:
    """5.0 has neither; 4.x has both, though Debian ships the cascades in a package of their own."""
    is_five = int(cv2.__version__.split(".")[0]) >= 5
    assert opencv.has_people_detector() is not is_five
    cascade = opencv.face_cascade()
    assert cascade is None or (cascade.is_file() and not is_five)


def test_a_picture_as_networks_take_it() -> None:
    picture = np.zeros((2, 3, 3), np.uint8)
    picture[1, 2] = (10, 20, 30)
    planes = blob(picture, mean=(1, 2, 3), deviation=(2, 4, 8))
    assert planes.shape == (1, 3, 2, 3)
    assert planes[0, :, 1, 2].tolist() == [4.5, 4.5, 3.375]
    assert planes[0, :, 0, 0].tolist() == [-0.5, -0.5, -0.375]


def test_without_a_mean_it_is_what_opencv_makes_of_it() -> None:
    picture = noise(33, 17, seed=2)
    assert np.array_equal(blob(picture), cv2.dnn.blobFromImage(picture))


def test_a_network_gives_its_outputs_by_name() -> None:
    outputs = network("yunet").forward(np.zeros((1, 3, 64, 96), np.float32))
    assert {name: array.shape for name, array in outputs.items() if name.endswith("_16")} == {
        "cls_16": (1, 24, 1),
        "obj_16": (1, 24, 1),
        "bbox_16": (1, 24, 4),
        "kps_16": (1, 24, 10),
    }


def test_sizes_by_turns_do_not_disturb_each_other() -> None:
    path = network("yunet").installed.path
    for width_px, height_px in ((64, 96), (96, 64), (320, 64), (64, 96)):
        planes = blob(noise(width_px, height_px, seed=3))
        alone = by_opencv(path, planes)
        for name, array in network("yunet").forward(planes).items():
            np.testing.assert_allclose(array, alone[name], atol=1e-5)


def damaged(tmp_path: Path, data: bytes) -> Installed:
    file = tmp_path / "parcels.onnx"
    file.write_bytes(data)
    return owned(tmp_path, "parcels", file, ("parcel",), family="yolox", side_px=416)


@pytest.mark.parametrize("data", [b"", b"This is no ONNX file.\n" * 50, bytes(1000), b"\x89PNG\r\n\x1a\n" * 100])
def test_a_file_that_is_no_onnx(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ModelUnusable) as refusal:
        Network(damaged(tmp_path, data))
    assert str(refusal.value).startswith(f"OpenCV {cv2.__version__} cannot load {tmp_path / 'parcels.onnx'}: ")
    assert not str(refusal.value).endswith((": ", "None"))


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.999])
def test_a_file_that_ends_too_early(tmp_path: Path, kept: float) -> None:
    data = weights(YUNET).read_bytes()
    with pytest.raises(ModelUnusable, match=r"cannot load .*parcels\.onnx: .*parse"):
        Network(damaged(tmp_path, data[: int(len(data) * kept)]))


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    installed = damaged(tmp_path, b"")
    installed.path.unlink()
    with pytest.raises(ModelUnusable, match=r"cannot load .*parcels\.onnx: .*read"):
        Network(installed)


@pytest.mark.parametrize(
    ("file", "family", "labels", "side_px", "told"),
    [
        (YUNET, "yolox", LABELS, 640, r"no yolox network with 80 labels and a side of 640: .*kps_32 \(1, 400, 10\)"),
        (YUNET, "nanodet", LABELS, 640, r"no nanodet network with 80 labels and a side of 640: it gives .*cls_8"),
        (NANODET, "yolox", LABELS, 416, r"no yolox network with 80 labels and a side of 416: .*792 \(1, 2704, 80\)"),
        (NANODET, "nanodet", ("parcel", "letter"), 416, r"no nanodet network with 2 labels and a side of 416: it"),
        (NANODET, "nanodet", LABELS, 320, r"cannot run .*/object_detection_nanodet_2022nov.onnx on 320 x 320 pixels: "),
        (YOLOX_NANO, "nanodet", LABELS, 416, r"no nanodet network with 80 labels and a side of 416: it gives output"),
        (YOLOX_NANO, "yolox", LABELS[:79], 416, r"no yolox network with 79 labels and a side of 416: it gives output"),
    ],
)  # fmt: skip
def test_a_network_that_is_not_what_its_manifest_says(
    tmp_path: Path, file: str, family: str, labels: tuple[str, ...], side_px: int, told: str
) -> None:
    misfit = Network(owned(tmp_path, "parcels", weights(file), labels, family=family, side_px=side_px))
    with pytest.raises(ModelUnusable, match=told):
        find_objects(noise(100, 80, seed=1), ObjectsParams(), misfit)


def test_a_network_that_finds_no_faces(install: Callable[..., Models]) -> None:
    """The catalogue's files are checked to the byte, so this takes a wrong catalogue."""
    faces = install("yunet").choose("faces")
    other = Network(Installed(faces.model, weights(YOLOX_NANO), "other"))
    with pytest.raises(ModelUnusable, match=r"no yunet network with cls, obj, bbox and kps .*: it gives output \(1,"):
        find_faces(noise(416, 416, seed=1), FacesParams(), other)
