"""Objects: with NanoDet, YOLOX, or the owner's own network of these families."""

from collections.abc import Collection

from pivision.operations.geometry import Detection
from pivision.operations.objects import ObjectsParams, ObjectsResult
from pivision.vision import boxes, nanodet, yolox
from pivision.vision.frame import Frame
from pivision.vision.network import Network

_FAMILIES = {"nanodet": nanodet, "yolox": yolox}


def find_objects(frame: Frame, params: ObjectsParams, network: Network) -> ObjectsResult:
    """Find what the network knows in a BGR frame (H, W, 3). Raises ModelUnusable, OutOfMemory."""
    return ObjectsResult(network.installed.model.name, detections(frame, params.labels, params.min_score, network))


def detections(frame: Frame, labels: Collection[str], min_score: float, network: Network) -> tuple[Detection, ...]:
    """Things with these labels (none named: with any) and at least this score, the surest first.

    One thing may be found under two labels, as a car and as a truck. Overlapping boxes leave those of other labels
    alone, so asking for some labels gives what asking for everything gives of them.

    Raises ModelUnusable where the network's output does not fit its family or its labels, OutOfMemory.
    """
    model = network.installed.model
    family, side_px = _FAMILIES[model.family], model.input_side_px
    classes = [number for number, label in enumerate(model.labels) if label in labels] if labels else None
    blob, placement = family.laid_out(frame, side_px)
    outputs = network.forward(blob)
    candidates = family.decoded(outputs, len(model.labels), side_px, classes, min_score)
    if candidates is None:
        raise network.misfit(outputs, f"with {len(model.labels)} labels and a side of {side_px}")
    kept = boxes.without_overlap(candidates, family.MAX_OVERLAP)
    corners = placement.on_frame(candidates.boxes[kept].reshape(-1, 2, 2)).reshape(-1, 4)
    found = zip(
        candidates.classes[kept].tolist(),
        candidates.scores[kept].tolist(),
        boxes.within(frame, corners),
        strict=True,
    )
    return tuple(Detection(model.labels[number], score, box) for number, score, box in found if box is not None)
