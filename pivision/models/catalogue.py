"""The models that PiVision installs by itself: files of OpenCV's model zoo (https://github.com/opencv/opencv_zoo).

For each operation, the first is what `models install OPERATION` installs; of several that are installed, the first is
what looks when a task names none.
"""

from pivision.models import coco
from pivision.models.model import File, Model, Origin

_ZOO = "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models"


def _origin(path: str, size_bytes: int, sha256: str, licence: str) -> Origin:
    return Origin(f"{_ZOO}/{path}", size_bytes, sha256, licence)


CATALOGUE: tuple[Model, ...] = (
    Model(
        name="yunet",
        operation="faces",
        family="yunet",
        file="face_detection_yunet_2023mar.onnx",
        labels=("face",),
        input_side_px=640,
        origin=_origin(
            "face_detection_yunet/face_detection_yunet_2023mar.onnx",
            232_589,
            "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
            "MIT",
        ),
    ),
    Model(
        name="yunet-int8",
        operation="faces",
        family="yunet",
        file="face_detection_yunet_2023mar_int8.onnx",
        labels=("face",),
        input_side_px=640,
        origin=_origin(
            "face_detection_yunet/face_detection_yunet_2023mar_int8.onnx",
            100_416,
            "321aa5a6afabf7ecc46a3d06bfab2b579dc96eb5c3be7edd365fa04502ad9294",
            "MIT",
        ),
    ),
    Model(
        name="nanodet",
        operation="objects",
        family="nanodet",
        file="object_detection_nanodet_2022nov.onnx",
        labels=coco.LABELS,
        input_side_px=416,
        origin=_origin(
            "object_detection_nanodet/object_detection_nanodet_2022nov.onnx",
            3_800_954,
            "4b82da9944b88577175ee23a459dce2e26e6e4be573def65b1055dc2d9720186",
            "Apache-2.0",
        ),
    ),
    Model(
        name="nanodet-int8",
        operation="objects",
        family="nanodet",
        file="object_detection_nanodet_2022nov_int8.onnx",
        labels=coco.LABELS,
        input_side_px=416,
        origin=_origin(
            "object_detection_nanodet/object_detection_nanodet_2022nov_int8.onnx",
            1_031_424,
            "8dd32b85f2d273e9047f1d6b59e0b2fd008b1076338107bb547ac28942cdf90b",
            "Apache-2.0",
        ),
    ),
    Model(
        name="yolox",
        operation="objects",
        family="yolox",
        file="object_detection_yolox_2022nov.onnx",
        labels=coco.LABELS,
        input_side_px=640,
        origin=_origin(
            "object_detection_yolox/object_detection_yolox_2022nov.onnx",
            35_858_002,
            "c5c2d13e59ae883e6af3b45daea64af4833a4951c92d116ec270d9ddbe998063",
            "Apache-2.0",
        ),
    ),
    Model(
        name="yolox-int8",
        operation="objects",
        family="yolox",
        file="object_detection_yolox_2022nov_int8.onnx",
        labels=coco.LABELS,
        input_side_px=640,
        origin=_origin(
            "object_detection_yolox/object_detection_yolox_2022nov_int8.onnx",
            9_079_452,
            "01a3b0f400b30bc1e45230e991b2e499ab42622485a330021947333fbaf03935",
            "Apache-2.0",
        ),
    ),
)


OTHERS: tuple[File, ...] = (
    File(
        name="mediapipe-person",
        file="person_detection_mediapipe_2023mar.onnx",
        origin=_origin(
            "person_detection_mediapipe/person_detection_mediapipe_2023mar.onnx",
            11_990_159,
            "47fd5599d6fa17608f03e0eb0ae230baa6e597d7e8a2c8199fe00abea55a701f",
            "Apache-2.0",
        ),
    ),
    File(
        name="sface",
        file="face_recognition_sface_2021dec.onnx",
        origin=_origin(
            "face_recognition_sface/face_recognition_sface_2021dec.onnx",
            38_696_353,
            "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
            "Apache-2.0",
        ),
    ),
    File(
        name="ppocr-detection",
        file="text_detection_en_ppocrv3_2023may.onnx",
        origin=_origin(
            "text_detection_ppocr/text_detection_en_ppocrv3_2023may.onnx",
            2_423_490,
            "03f550c6b406fda8bf54bd8327815f6c7e2edd98cea02348c93d879254366587",
            "Apache-2.0",
        ),
    ),
    File(
        name="crnn",
        file="text_recognition_CRNN_EN_2021sep.onnx",
        origin=_origin(
            "text_recognition_crnn/text_recognition_CRNN_EN_2021sep.onnx",
            33_823_087,
            "a84b1f6e11a65c2d733cb0cc1f014aae3f99051e3f11447dc282faa678eee544",
            "Apache-2.0",
        ),
    ),
    File(
        name="mobilenet",
        file="image_classification_mobilenetv2_2022apr.onnx",
        origin=_origin(
            "image_classification_mobilenet/image_classification_mobilenetv2_2022apr.onnx",
            13_964_571,
            "c0c3f76d93fa3fd6580652a45618618a220fced18babf65774ed169de0432ad5",
            "Apache-2.0",
        ),
    ),
)
"""More of the zoo's files, for programs of the owner's: installed and checked like the rest, used by no operation."""

FILES: dict[str, File] = {file.name: file for file in (*CATALOGUE, *OTHERS)}
"""All that can be installed, by name."""


def first(operation: str) -> Model:
    """What `models install OPERATION` installs. Raises StopIteration for an operation without models."""
    return next(model for model in CATALOGUE if model.operation == operation)
