"""People are counted, with a network and with HOG."""

import cv2
import msgspec
import numpy as np
import pytest

from pivision.errors import ModelMissing
from pivision.operations.objects import ObjectsParams
from pivision.operations.people import PeopleParams, PeopleResult
from pivision.vision import opencv
from pivision.vision.frame import Frame
from pivision.vision.objects import find_objects
from pivision.vision.people import find_people
from tests.vision.conftest import photograph
from tests.vision.networks import Edges, assert_within, edges, iou, network, noise

DEFAULTS = PeopleParams()
PERSON: Edges = (190, 99, 274, 375)  # drawn around the person by hand
NETWORKS = ["nanodet", "yolox_nano"]


def two_people() -> Frame:
    """Two of person.jpg's person, in a meadow."""
    frame = photograph("person.jpg")
    return np.ascontiguousarray(np.concatenate((frame[:, 120:330], frame[:, 120:330]), axis=1))


@pytest.mark.parametrize("name", NETWORKS)
def test_people_are_counted(name: str) -> None:
    result = find_people(photograph("person.jpg"), DEFAULTS, network(name))
    assert (result.model, result.count) == (name, 1)
    assert iou(edges(result.people[0].box), PERSON) > 0.8
    assert find_people(two_people(), DEFAULTS, network(name)).count == 2
    assert find_people(photograph("dog.jpg"), DEFAULTS, network(name)) == PeopleResult(name, 0, ())


@pytest.mark.parametrize("name", NETWORKS)
def test_people_are_the_objects_that_are_persons(name: str) -> None:
    frame = photograph("person.jpg")
    people = find_people(frame, PeopleParams(min_score=0.1), network(name)).people
    objects = find_objects(frame, ObjectsParams(min_score=0.1), network(name)).objects
    persons = [each for each in objects if each.label == "person"]
    assert [(each.score, each.box) for each in people] == [(each.score, each.box) for each in persons]


def test_hog_stands_in_where_opencv_has_it() -> None:
    frame = photograph("person.jpg")
    if not opencv.has_people_detector():
        with pytest.raises(ModelMissing, match="models install objects"):
            find_people(frame, DEFAULTS, None)
        return
    result = find_people(frame, DEFAULTS, None)
    assert (result.model, result.count) == ("hog", 1)
    (person,) = result.people
    assert iou(edges(person.box), PERSON) > 0.8
    assert find_people(frame, PeopleParams(min_score=person.score - 0.001), None) == result
    assert find_people(frame, PeopleParams(min_score=person.score + 0.001), None) == PeopleResult("hog", 0, ())
    assert find_people(photograph("dog.jpg"), DEFAULTS, None).count == 0


def test_hog_finds_the_same_person_in_a_larger_picture() -> None:
    frame = np.asarray(cv2.resize(photograph("person.jpg"), (1920, 1272)), np.uint8)
    if not opencv.has_people_detector():
        with pytest.raises(ModelMissing):
            find_people(frame, DEFAULTS, None)
        return
    (person,) = find_people(frame, DEFAULTS, None).people
    assert iou(edges(person.box), (570, 297, 822, 1125)) > 0.8


@pytest.mark.parametrize(("width_px", "height_px"), [(1, 1), (1, 300), (700, 2), (63, 127), (64, 128), (640, 480)])
def test_hog_answers_for_any_size(width_px: int, height_px: int) -> None:
    """OpenCV 4 writes where it must not in pictures smaller than its window."""
    frame = noise(width_px, height_px, 1)
    if not opencv.has_people_detector():
        with pytest.raises(ModelMissing):
            find_people(frame, DEFAULTS, None)
        return
    result = find_people(frame, PeopleParams(min_score=0), None)
    assert msgspec.convert(msgspec.to_builtins(result), PeopleResult) == result
    assert result.count == len(result.people)
    for person in result.people:
        assert_within(frame, person.box)
