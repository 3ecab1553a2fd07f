"""What was found, drawn on the picture.

Legible on any background: each line is a bright core in a black halo, each label is black on a plate of its colour.
The colours are those of Okabe and Ito for the colour-blind ("Color Universal Design", 2008,
https://jfly.uni-koeln.de/color/) that have a contrast of 4.5 to black (WCAG 2.1, 1.4.3), which leaves out blue; white
takes the place of their black.
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from pivision.operations.annotate import AnnotateParams
from pivision.operations.codes import CodesResult
from pivision.operations.faces import FacesResult
from pivision.operations.geometry import Box, Point
from pivision.operations.markers import MarkersResult
from pivision.operations.motion import MotionResult
from pivision.operations.objects import ObjectsResult
from pivision.operations.people import PeopleResult
from pivision.operations.text import TextResult
from pivision.vision.frame import Frame, jpeg, scaled_down

Colour = tuple[int, int, int]
"""BGR."""

_BLACK: Colour = (0, 0, 0)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT_PX = 22.0  # of a capital letter at a font scale of 1
_LABEL_CHARACTERS = 40  # the result has the whole text
_ELLIPSIS = "..."

# Parts of the picture's longer side, and what they are at least.
_LINE, _LINE_PX = 1 / 480, 3  # JPEG takes the colour out of thinner ones
_LETTER, _LETTER_PX = 1 / 64, 12


class Mark(NamedTuple):
    """One thing to draw: an outline, what it is, and points in it."""

    outline: tuple[Point, ...]
    label: str
    points: tuple[Point, ...] = ()


class _Style(NamedTuple):
    colour: Colour
    marks: Callable[[Any], Iterable[Mark]]


def draw(frame: Frame, params: AnnotateParams, found: dict[str, msgspec.Struct]) -> tuple[bytes, int, int]:
    """Draw results, by operation, on a copy of a BGR frame (H, W, 3); those that have no place in it are left out.

    Returns a JPEG, its width and its height in pixels: those of the frame, scaled down to `params.max_side_px`.
    Raises RuntimeError when OpenCV cannot write it.
    """
    picture = scaled_down(frame, params.max_side_px)
    if picture is frame:  # which others look at
        picture = frame.copy()
    height_px, width_px = picture.shape[:2]
    scale = np.array([width_px / frame.shape[1], height_px / frame.shape[0]])
    drawn = [
        (style.colour, mark, _pixels(mark.outline, scale, picture))
        for result in found.values()
        if (style := _STYLES.get(type(result))) is not None
        for mark in style.marks(result)
    ]
    for colour, mark, outline in drawn:
        _draw_lines(picture, colour, outline, _pixels(mark.points, scale, picture))
    taken: list[tuple[slice, slice]] = []
    for colour, mark, outline in drawn:  # after all lines, so that none crosses a label
        _draw_label(picture, colour, mark.label, outline, taken)
    return jpeg(picture, params.jpeg_quality), width_px, height_px


def _pixels(points: tuple[Point, ...], scale: npt.NDArray[np.float64], picture: Frame) -> npt.NDArray[np.int32]:
    """Points (N, 2) of the frame in pixels of the picture, drawn to its edge where they lie outside."""
    there = np.array([(point.x, point.y) for point in points], np.float64).reshape(-1, 2) * scale
    last = (picture.shape[1] - 1, picture.shape[0] - 1)
    return np.clip(np.nan_to_num(there), 0, last).round().astype(np.int32)


def _draw_lines(picture: Frame, colour: Colour, outline: npt.NDArray[np.int32], points: npt.NDArray[np.int32]) -> None:
    core_px = max(_LINE_PX, round(max(picture.shape) * _LINE))
    for line_colour, line_px in ((_BLACK, 2 * core_px + 1), (colour, core_px)):
        cv2.polylines(picture, [outline], isClosed=True, color=line_colour, thickness=line_px, lineType=cv2.LINE_AA)
        for x, y in points.tolist():
            cv2.circle(picture, (x, y), (line_px + core_px) // 2, line_colour, cv2.FILLED, cv2.LINE_AA)


def _draw_label(
    picture: Frame, colour: Colour, label: str, outline: npt.NDArray[np.int32], taken: list[tuple[slice, slice]]
) -> None:
    """Put a plate with the label at the outline, within the picture and, if there is room, beside those in `taken`."""
    plate = _plate(label, colour, round(max(picture.shape) * _LETTER), picture.shape[1])
    rows, columns = picture.shape[0] - plate.shape[0], picture.shape[1] - plate.shape[1]
    if not plate.size or rows < 0 or columns < 0:
        return  # a picture too small for a letter
    left, top = outline.min(axis=0)
    bottom = outline[:, 1].max()
    x = int(np.clip(left, 0, columns))
    places = [
        (slice(y, y + plate.shape[0]), slice(x, x + plate.shape[1]))
        for y in (int(top) - plate.shape[0], int(bottom) + 1, int(top), int(bottom) - plate.shape[0])
        if 0 <= y <= rows
    ] or [(slice(0, plate.shape[0]), slice(x, x + plate.shape[1]))]
    place = next((place for place in places if not any(_overlap(place, other) for other in taken)), places[0])
    picture[place] = plate
    taken.append(place)


def _plate(label: str, colour: Colour, letter_px: int, width_px: int) -> Frame:
    """The label in one line, cut off where it is wider than `width_px`; an empty array if nothing fits."""
    letter_px = max(_LETTER_PX, letter_px)
    scale, stroke_px, margin_px = letter_px / _FONT_HEIGHT_PX, max(2, letter_px // 8), letter_px // 3
    words = printable(label)
    for length in range(min(len(words), _LABEL_CHARACTERS), 0, -1):
        shown = words if length == len(words) else words[:length].rstrip() + _ELLIPSIS
        (text_width_px, text_height_px), below_px = cv2.getTextSize(shown, _FONT, scale, stroke_px)
        size = (text_height_px + below_px + 2 * margin_px, text_width_px + 2 * margin_px)
        if size[1] <= width_px:
            plate = np.full((*size, 3), colour, np.uint8)
            at = (margin_px, margin_px + text_height_px)
            cv2.putText(plate, shown, at, _FONT, scale, _BLACK, stroke_px, cv2.LINE_AA)
            return plate
    return np.empty((0, 0, 3), np.uint8)


def printable(text: str) -> str:
    """The text in one line of ASCII, which is all that OpenCV's font has: é becomes e, what has no likeness a ?."""
    letters = (letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return " ".join("".join(letter if " " <= letter <= "~" or letter.isspace() else "?" for letter in letters).split())


def _overlap(one: tuple[slice, slice], other: tuple[slice, slice]) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


def _outline(box: Box) -> tuple[Point, ...]:
    left, top, right, bottom = box.x, box.y, box.x + box.width, box.y + box.height
    return Point(left, top), Point(right, top), Point(right, bottom), Point(left, bottom)


def _scored(label: str, score: float | None) -> str:
    return label if score is None else f"{label} {score:.0%}"


def _codes(result: CodesResult) -> Iterator[Mark]:
    return (Mark(code.corners, f"{code.format} {code.printed or code.text}") for code in result.codes)


def _faces(result: FacesResult) -> Iterator[Mark]:
    for face in result.faces:
        points = () if face.landmarks is None else msgspec.structs.astuple(face.landmarks)
        yield Mark(_outline(face.box), _scored("face", face.score), points)


def _objects(result: ObjectsResult) -> Iterator[Mark]:
    return (Mark(_outline(each.box), _scored(each.label, each.score)) for each in result.objects)


def _people(result: PeopleResult) -> Iterator[Mark]:
    return (Mark(_outline(person.box), _scored("person", person.score)) for person in result.people)


def _markers(result: MarkersResult) -> Iterator[Mark]:
    return (Mark(marker.corners, f"{marker.dictionary} {marker.id}") for marker in result.markers)


def _motion(result: MotionResult) -> Iterator[Mark]:
    return (Mark(_outline(box), "motion") for box in result.boxes)


def _text(result: TextResult) -> Iterator[Mark]:
    return (Mark(line.corners, line.text) for line in result.lines)


_STYLES: dict[type[msgspec.Struct], _Style] = {
    CodesResult: _Style((66, 228, 240), _codes),  # yellow
    FacesResult: _Style((0, 159, 230), _faces),  # orange
    ObjectsResult: _Style((233, 180, 86), _objects),  # sky blue
    PeopleResult: _Style((167, 121, 204), _people),  # reddish purple
    MarkersResult: _Style((115, 158, 0), _markers),  # bluish green
    MotionResult: _Style((0, 94, 213), _motion),  # vermilion
    TextResult: _Style((255, 255, 255), _text),
}
