"""Objects are found where people see them, as the models' own pipelines find them, and in pictures of any size."""

import math
from pathlib import Path
from types import ModuleType

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivision.models.coco import LABELS
from pivision.operations.geometry import Detection
from pivision.operations.objects import ObjectsParams, ObjectsResult
from pivision.vision import nanodet, yolox
from pivision.vision.frame import Frame
from pivision.vision.network import Floats, Outputs
from pivision.vision.objects import find_objects
from tests.vision.conftest import photograph
from tests.vision.networks import FORWARDS, Edges, Forward, assert_within, edges, iou, network, noise, suppressed

DEFAULTS = ObjectsParams()
NETWORKS = ["nanodet", "yolox_nano"]

# Drawn around the things by hand
DOG, BICYCLE, TRUCK = (132, 221, 313, 540), (126, 137, 567, 421), (468, 75, 692, 171)
PERSON, SECOND_DOG, HORSE = (190, 99, 274, 375), (65, 264, 205, 343), (405, 139, 602, 346)

Found = tuple[int, float, Edges]  # class, score, edges


def objects(frame: Frame, name: str, params: ObjectsParams = DEFAULTS) -> tuple[Detection, ...]:
    return find_objects(frame, params, network(name)).objects


def assert_found(found: tuple[Detection, ...], labels: set[str], where: Edges) -> None:
    assert max((iou(edges(each.box), where) for each in found if each.label in labels), default=0) > 0.7


@pytest.mark.parametrize("name", NETWORKS)
def test_things_are_where_people_see_them(name: str) -> None:
    found = objects(photograph("dog.jpg"), name)
    assert_found(found, {"dog"}, DOG)
    assert_found(found, {"bicycle"}, BICYCLE)
    assert_found(found, {"truck", "car"}, TRUCK)
    assert {each.label for each in found} <= {"dog", "bicycle", "truck", "car"}

    result = find_objects(photograph("person.jpg"), DEFAULTS, network(name))
    assert result.model == name
    assert_found(result.objects, {"person"}, PERSON)
    assert_found(result.objects, {"dog"}, SECOND_DOG)
    assert_found(result.objects, {"horse"}, HORSE)
    assert len(result.objects) == 3


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("scale", "below_px", "right_px"), [(1, 1400, 0), (1, 0, 900), (0.125, 0, 0), (3, 0, 0), (0.7, 33, 1)]
)
def test_things_are_found_whatever_the_size(name: str, scale: float, below_px: int, right_px: int) -> None:
    """The photograph smaller or larger, with a plain wall below it or to its right."""
    frame = cv2.resize(photograph("dog.jpg"), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    frame = cv2.copyMakeBorder(frame, 0, below_px, 0, right_px, cv2.BORDER_CONSTANT, value=(90, 120, 140))
    left, top, right, bottom = DOG
    found = objects(np.asarray(frame, np.uint8), name, ObjectsParams(labels=("dog",), min_score=0.3))
    assert_found(found, {"dog"}, (left * scale, top * scale, right * scale, bottom * scale))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_surest_comes_first(name: str) -> None:
    scores = [each.score for each in objects(photograph("dog.jpg"), name, ObjectsParams(min_score=0.05))]
    assert len(scores) > 5
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("labels", [("dog",), ("truck", "car"), ("bicycle", "zebra", "bicycle"), ("zebra",), ("no",)])
def test_asking_for_labels_gives_what_asking_for_everything_gives_of_them(name: str, labels: tuple[str, ...]) -> None:
    frame = photograph("dog.jpg")
    everything = objects(frame, name, ObjectsParams(min_score=0.2))
    found = objects(frame, name, ObjectsParams(labels=labels, min_score=0.2))
    assert found == tuple(each for each in everything if each.label in labels)


@pytest.mark.parametrize("name", NETWORKS)
def test_less_sure_things_are_left_out(name: str) -> None:
    frame = photograph("dog.jpg")
    everything = objects(frame, name, ObjectsParams(min_score=0.1))
    for each in everything[:5]:
        fewer = objects(frame, name, ObjectsParams(min_score=each.score - 1e-4))
        assert fewer == everything[: len(fewer)]
        assert each in fewer
        assert each not in objects(frame, name, ObjectsParams(min_score=each.score + 1e-4))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_label_does_not_overlap(name: str) -> None:
    found = objects(photograph("person.jpg"), name, ObjectsParams(min_score=0.01))
    limit = {"nanodet": nanodet.MAX_OVERLAP, "yolox_nano": yolox.MAX_OVERLAP}[name]
    inner = [each for each in found if each.box.x > 1 and each.box.y > 1]  # those at the edges were cut since
    for number, one in enumerate(inner):
        for other in inner[:number]:
            assert one.label != other.label or iou(edges(one.box), edges(other.box)) < limit + 0.06


# The references


def plain_nanodet(file: Path, frame: Frame, forward: Forward) -> list[Found]:
    """NanoDet as its paper and its authors' demo have it, one cell after the other; by the names of the zoo's file."""
    height_px, width_px = frame.shape[:2]
    scale = min(416 / width_px, 416 / height_px)
    width, height = round(width_px * scale), round(height_px * scale)
    left, top = (416 - width) // 2, (416 - height) // 2
    canvas = np.zeros((416, 416, 3), np.float32)
    canvas[top : top + height, left : left + width] = cv2.resize(frame, (width, height))
    normal = (canvas - np.array((103.53, 116.28, 123.675))) / np.array((57.375, 57.12, 58.395))
    outputs = forward(file, np.ascontiguousarray(normal.transpose(2, 0, 1)[np.newaxis], np.float32))
    found = []
    for stride, scores, distances in ((8, "792", "795"), (16, "814", "817"), (32, "836", "839")):
        for cell, of_classes in enumerate(outputs[scores][0].tolist()):
            for number, score in enumerate(of_classes):
                if score < DEFAULTS.min_score:
                    continue
                row, column = divmod(cell, 416 // stride)
                edge = []
                for side in range(4):
                    bins = [math.exp(value) for value in outputs[distances][0, cell, 8 * side : 8 * side + 8].tolist()]
                    edge.append(sum(n * weight for n, weight in enumerate(bins)) / sum(bins) * stride)
                x, y = (column + 0.5) * stride, (row + 0.5) * stride
                box = (x - edge[0] - left, y - edge[1] - top, x + edge[2] - left, y + edge[3] - top)
                found.append((number, score, scaled(box, scale)))
    return suppressed(found, 0.6)


def plain_yolox(file: Path, frame: Frame, forward: Forward) -> list[Found]:
    """YOLOX as its authors' demo has it, one cell after the other."""
    height_px, width_px = frame.shape[:2]
    scale = min(416 / width_px, 416 / height_px)
    width, height = round(width_px * scale), round(height_px * scale)
    canvas = np.full((416, 416, 3), 114, np.float32)
    canvas[:height, :width] = cv2.resize(frame, (width, height))
    (output,) = forward(file, np.ascontiguousarray(canvas.transpose(2, 0, 1)[np.newaxis])).values()
    cells = [
        (stride, row, column) for stride in (8, 16, 32) for row, column in np.ndindex(416 // stride, 416 // stride)
    ]
    found = []
    for (stride, row, column), (x, y, log_width, log_height, sure, *of_classes) in zip(
        cells, output[0].tolist(), strict=True
    ):
        middle_x, middle_y = (column + x) * stride, (row + y) * stride
        half_x, half_y = math.exp(log_width) * stride / 2, math.exp(log_height) * stride / 2
        box = scaled((middle_x - half_x, middle_y - half_y, middle_x + half_x, middle_y + half_y), scale)
        found += [(n, sure * score, box) for n, score in enumerate(of_classes) if sure * score >= DEFAULTS.min_score]
    return suppressed(found, 0.45)


def scaled(box: Edges, scale: float) -> Edges:
    left, top, right, bottom = box
    return left / scale, top / scale, right / scale, bottom / scale


@pytest.mark.parametrize("forward", FORWARDS)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("picture", ["dog.jpg", "person.jpg", "astronaut.jpg"])
def test_things_are_those_of_a_plain_reference(name: str, picture: str, forward: Forward) -> None:
    frame = photograph(picture)
    reference = {"nanodet": plain_nanodet, "yolox_nano": plain_yolox}[name]
    expected = reference(network(name).installed.path, frame, forward)
    found = objects(frame, name)
    assert [each.label for each in found] == [LABELS[number] for number, _score, _box in expected]
    for each, (_number, score, box) in zip(found, expected, strict=True):
        height_px, width_px = frame.shape[:2]
        left, top, right, bottom = box
        cut = (max(0.0, left), max(0.0, top), min(width_px, right), min(height_px, bottom))
        assert each.score == pytest.approx(score, abs=0.02)
        assert iou(edges(each.box), cut) >= 0.9


@settings(max_examples=10)
@given(st.integers(1, 700), st.integers(1, 500), st.integers(0, 1 << 32), st.sampled_from((0.0, 0.01, 0.4)))
@pytest.mark.parametrize("name", NETWORKS)
def test_any_picture_has_an_answer(name: str, width_px: int, height_px: int, seed: int, min_score: float) -> None:
    frame = noise(width_px, height_px, seed)
    result = find_objects(frame, ObjectsParams(min_score=min_score), network(name))
    assert msgspec.convert(msgspec.to_builtins(result), ObjectsResult) == result
    for each in result.objects:
        assert_within(frame, each.box)


# Exports of other kinds


def looked(family: ModuleType, name: str) -> Outputs:
    return network(name).forward(family.laid_out(photograph("dog.jpg"), 416)[0])


def found_in(family: ModuleType, outputs: Outputs, labels: int = 80, side_px: int = 416) -> list[Found] | None:
    found = family.decoded(outputs, labels, side_px, None, 0.4)
    if found is None:
        return None
    return sorted(zip(found.classes.tolist(), found.scores.tolist(), map(tuple, found.boxes.tolist()), strict=True))


def assert_same(one: list[Found] | None, other: list[Found] | None) -> None:
    assert one
    assert other
    for (number, score, box), (same_number, same_score, same_box) in zip(one, other, strict=True):
        assert number == same_number
        assert score == pytest.approx(same_score, abs=1e-3)
        assert box == pytest.approx(same_box, abs=0.1)


def test_nanodets_outputs_may_have_any_names_and_order() -> None:
    outputs = looked(nanodet, "nanodet")
    shuffled = {f"out{number}": outputs[name] for number, name in enumerate(sorted(outputs, reverse=True))}
    assert_same(found_in(nanodet, shuffled), found_in(nanodet, outputs))


def test_nanodets_outputs_may_be_one_array() -> None:
    """As NanoDet's own export script writes it: scores and distances side by side, one grid after the other."""
    outputs = looked(nanodet, "nanodet")
    grids = [
        np.concatenate((outputs[a], outputs[b]), axis=2) for a, b in (("792", "795"), ("814", "817"), ("836", "839"))
    ]
    assert_same(found_in(nanodet, {"output": np.concatenate(grids, axis=1)}), found_in(nanodet, outputs))


def test_nanodets_scores_may_be_logits() -> None:
    outputs = looked(nanodet, "nanodet")
    logits = {name: np.log(array / (1 - array)) if array.shape[2] == 80 else array for name, array in outputs.items()}
    assert_same(found_in(nanodet, logits), found_in(nanodet, outputs))


def test_nanodet_plus_has_a_fourth_grid_and_points_in_the_cells_corners() -> None:
    """2 labels, a side of 128, so 256 + 64 + 16 + 4 cells; in the third grid, the cell of row 2 and column 1."""
    output = np.zeros((1, 340, 2 + 32), np.float32)
    cell = output[0, 256 + 64 + 2 * 4 + 1]
    cell[1] = 0.75
    for side, strides in enumerate((1, 2, 0, 1)):  # to the left, up, to the right, down
        cell[2 + 8 * side + strides] = 50
    found = nanodet.decoded({"output": output}, 2, 128, None, 0.4)
    assert found is not None
    assert (found.classes.tolist(), found.scores.tolist()) == ([1], [0.75])
    assert found.boxes[0].tolist() == pytest.approx([0, 0, 32, 96])


def test_yoloxs_boxes_may_be_decoded_already() -> None:
    (raw,) = looked(yolox, "yolox_nano").values()
    pixels: Floats = raw.copy()
    start = 0
    for stride in (8, 16, 32):
        columns = 416 // stride
        for cell in range(columns**2):
            row, column = divmod(cell, columns)
            pixels[0, start + cell, :2] = (raw[0, start + cell, :2] + (column, row)) * stride
            pixels[0, start + cell, 2:4] = np.exp(raw[0, start + cell, 2:4]) * stride
        start += columns**2
    assert_same(found_in(yolox, {"output": pixels}), found_in(yolox, {"output": raw}))


@pytest.mark.parametrize(
    ("family", "shapes", "labels"),
    [
        (yolox, [], 80),
        (yolox, [(1, 3549, 85)], 79),
        (yolox, [(1, 3549, 85)], 81),
        (yolox, [(3549, 85)], 80),
        (yolox, [(2, 3549, 85)], 80),
        (yolox, [(1, 85, 3549)], 80),
        (yolox, [(1, 8400, 85)], 80),  # of another side
        (yolox, [(1, 3549, 85), (1, 3549, 85)], 80),
        (nanodet, [], 80),
        (nanodet, [(1, 3549, 85)], 80),  # a YOLOX
        (nanodet, [(1, 3549, 80)], 80),
        (nanodet, [(1, 3549, 112)], 79),
        (nanodet, [(1, 2704, 80), (1, 676, 80), (1, 169, 80)], 80),
        (nanodet, [(1, n, width) for n in (2704, 676, 169) for width in (80, 32)], 79),
        (nanodet, [(1, n, width) for n in (2704, 676, 168) for width in (80, 32)], 80),
        (nanodet, [(1, n, width) for n in (2704, 676, 169) for width in (80, 33)], 80),
        (nanodet, [(n, width) for n in (2704, 676, 169) for width in (80, 32)], 80),
    ],
)
def test_outputs_that_do_not_fit_are_known(family: ModuleType, shapes: list[tuple[int, ...]], labels: int) -> None:
    outputs = {f"out{number}": np.zeros(shape, np.float32) for number, shape in enumerate(shapes)}
    assert found_in(family, outputs, labels) is None
