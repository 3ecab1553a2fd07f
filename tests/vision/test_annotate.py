"""What is drawn is where it should be and can be seen on any background: measured on the JPEG, decoded by Pillow."""

import io
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pivision.operations.annotate import AnnotateParams
from pivision.operations.codes import Code, CodesResult
from pivision.operations.faces import Face, FacesResult, Landmarks
from pivision.operations.geometry import Box, Corners, Detection, Point
from pivision.operations.markers import Marker, MarkersResult
from pivision.operations.motion import MotionResult
from pivision.operations.objects import ObjectsResult
from pivision.operations.people import PeopleResult, Person
from pivision.operations.quality import Exposure, QualityResult
from pivision.operations.text import TextLine, TextParams, TextResult
from pivision.vision import annotate, text
from pivision.vision.frame import Frame
from tests import needs
from tests.vision.conftest import photograph

WIDTH_PX, HEIGHT_PX = 640, 480
LINE_PX = 5  # how far a line, with its halo, reaches to either side in a picture of this size
LEGIBLE = 4.5  # WCAG 2.1, 1.4.3
DEFAULTS, BEST = AnnotateParams(), AnnotateParams(jpeg_quality=100)
BOX = Box(200, 150, 240, 180)
MIDDLE_GREY = (128, 128, 128)

Rgb = npt.NDArray[np.uint8]

# Okabe, Ito, "Color Universal Design", 2008: as they print them, in RGB; and white.
COLOURS = {
    "codes": (240, 228, 66),
    "faces": (230, 159, 0),
    "objects": (86, 180, 233),
    "people": (204, 121, 167),
    "markers": (0, 158, 115),
    "motion": (213, 94, 0),
    "text": (255, 255, 255),
}

BACKGROUNDS: dict[str, Callable[[], Frame]] = {
    "white": lambda: flat((255, 255, 255)),
    "black": lambda: flat((0, 0, 0)),
    "grey": lambda: flat(MIDDLE_GREY),
    "noise": lambda: np.random.default_rng(0).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), np.uint8),
    "photograph": lambda: np.ascontiguousarray(photograph("astronaut.jpg")[:HEIGHT_PX, :WIDTH_PX]),
}


def flat(colour: tuple[int, int, int], width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX) -> Frame:
    return np.full((height_px, width_px, 3), colour, np.uint8)


def corners(box: Box) -> Corners:
    right, bottom = box.x + box.width, box.y + box.height
    return Point(box.x, box.y), Point(right, box.y), Point(right, bottom), Point(box.x, bottom)


def found(operation: str, box: Box = BOX, words: str = "thing") -> dict[str, msgspec.Struct]:
    """One thing that `operation` has found in this box."""
    results: dict[str, msgspec.Struct] = {
        "codes": CodesResult((Code(words, words.encode(errors="replace"), "QRCode", corners(box), 0),)),
        "faces": FacesResult("yunet", (Face(box, 0.93, None),)),
        "objects": ObjectsResult("nanodet", (Detection(words, 0.93, box),)),
        "people": PeopleResult("nanodet", 1, (Person(0.93, box),)),
        "markers": MarkersResult((Marker("4X4_50", 23, corners(box), None),)),
        "motion": MotionResult(is_compared=True, score=1, changed_area=0.1, boxes=(box,)),
        "text": TextResult(words, (TextLine(words, 0.93, corners(box)),)),
    }
    return {operation: results[operation]}


def drawn(frame: Frame, results: dict[str, msgspec.Struct], params: AnnotateParams = DEFAULTS) -> Rgb:
    jpeg, width_px, height_px = annotate.draw(frame, params, results)
    with Image.open(io.BytesIO(jpeg)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (width_px, height_px))
        return np.asarray(picture.convert("RGB"))


def contrast(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """WCAG 2.1's contrast ratio of two sRGB colours, 1 to 21."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: npt.NDArray[Any]) -> float:
    """WCAG 2.1's relative luminance."""
    level = np.asarray(colour, np.float64) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def like(picture: Rgb, colour: tuple[int, int, int], levels: int = 40) -> npt.NDArray[np.bool_]:
    """Where the picture has this colour, but for what JPEG makes of it."""
    return np.asarray(np.abs(picture.astype(int) - colour).max(axis=2) <= levels)


def plate(picture: Rgb, colour: tuple[int, int, int], box: Box = BOX) -> tuple[slice, slice]:
    """The rows and columns of the label in this colour: what is in it and does not belong to the box's outline."""
    is_label = like(picture, colour) & ~is_near(picture, box)
    rows, columns = (np.flatnonzero(is_label.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def is_near(picture: Rgb, box: Box) -> npt.NDArray[np.bool_]:
    """Where the box's outline may be, with its halo."""
    y, x = np.indices(picture.shape[:2])
    outside = np.maximum.reduce([box.x - x, x - (box.x + box.width), box.y - y, y - (box.y + box.height)])
    return np.asarray(np.abs(outside) <= LINE_PX)


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("operation", COLOURS)
def test_a_line_stands_out_wherever_it_runs(background: str, operation: str) -> None:
    picture = drawn(BACKGROUNDS[background](), found(operation)).astype(float)
    left, top, right, bottom = 200, 150, 440, 330
    places = [(x, bottom, 0, 1) for x in range(left + 10, right - 10, 7)]
    places += [(right, y, 1, 0) for y in range(top + 30, bottom - 10, 7)]
    places += [(left, y, 1, 0) for y in range(top + 30, bottom - 30, 7)]
    for x, y, across_x, across_y in places:
        line = np.array([picture[y + step * across_y, x + step * across_x] for step in range(-LINE_PX, LINE_PX + 1)])
        core = min(line[LINE_PX - 1 : LINE_PX + 2], key=lambda pixel: np.abs(pixel - COLOURS[operation]).max())
        assert np.abs(core - COLOURS[operation]).max() < 80, f"at {x}, {y}: {line}"
        for halo in (line[: LINE_PX + 1], line[LINE_PX:]):  # on either side
            assert max(contrast(core, pixel) for pixel in halo if luminance(pixel) < luminance(core)) >= LEGIBLE


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("operation", COLOURS)
def test_a_label_is_dark_on_a_plate_of_its_colour(background: str, operation: str) -> None:
    frame = BACKGROUNDS[background]()
    before = np.asarray(frame[:, :, ::-1])
    picture = drawn(frame, found(operation))
    place = plate(drawn(flat((40, 40, 40)), found(operation)), COLOURS[operation])  # it is put at the same place
    label = picture[place].reshape(-1, 3).astype(float)
    levels = np.array([luminance(pixel) for pixel in label])
    ink, paper = label[levels.argmin()], np.median(label[levels >= np.median(levels)], axis=0)
    assert np.abs(paper - COLOURS[operation]).max() < 20
    assert contrast(ink, paper) >= LEGIBLE
    assert before.shape == picture.shape


@pytest.mark.parametrize(("factor", "max_side_px"), [(1, 1920), (1, 640), (4, 640), (3, 640)])
@pytest.mark.parametrize("operation", COLOURS)
def test_lines_are_where_the_thing_is_also_in_a_smaller_picture(operation: str, factor: int, max_side_px: int) -> None:
    box = Box(BOX.x * factor, BOX.y * factor, BOX.width * factor, BOX.height * factor)
    frame = flat(MIDDLE_GREY, WIDTH_PX * factor, HEIGHT_PX * factor)
    params = AnnotateParams(jpeg_quality=100, max_side_px=max_side_px)
    picture = drawn(frame, found(operation, box), params)
    assert picture.shape == (HEIGHT_PX, WIDTH_PX, 3)
    is_drawn = ~like(picture, MIDDLE_GREY, levels=30)
    is_drawn[:150] = False  # the label stands on its upper side
    assert not (is_drawn & ~is_near(picture, BOX)).any(), "nothing is drawn elsewhere"
    assert is_drawn[150, 200:441].all()
    assert is_drawn[330, 200:441].all()
    assert is_drawn[150:331, 200].all()
    assert is_drawn[150:331, 440].all()


def test_turned_things_get_turned_outlines() -> None:
    diamond = (Point(320, 100), Point(420, 240), Point(320, 380), Point(220, 240))
    result = CodesResult((Code("x", b"x", "QRCode", diamond, 45),))
    picture = drawn(flat((0, 0, 0)), {"codes": result}, BEST)
    is_drawn = like(picture, COLOURS["codes"], levels=90)
    for x, y in ((370, 170), (370, 310), (270, 310), (270, 170)):  # the middles of its sides
        assert is_drawn[y - 1 : y + 2, x - 1 : x + 2].any()
    assert not is_drawn[200:280, 260:380].any(), "nothing within it"


def test_a_face_shows_its_five_points() -> None:
    points = [Point(270, 200), Point(350, 200), Point(310, 240), Point(280, 280), Point(340, 280)]
    picture = drawn(flat(MIDDLE_GREY), {"faces": FacesResult("yunet", (Face(BOX, 0.9, Landmarks(*points)),))})
    for point in points:
        around = picture[int(point.y) - 6 : int(point.y) + 7, int(point.x) - 6 : int(point.x) + 7]
        assert like(around, COLOURS["faces"])[6, 6]
        assert max(contrast(around[6, 6], pixel) for pixel in around.reshape(-1, 3)) >= LEGIBLE


@pytest.mark.parametrize("operation", COLOURS)
@pytest.mark.parametrize(
    "box",
    [
        Box(0, 0, 60, 60),
        Box(620, 0, 20, 20),
        Box(0, 460, 20, 20),
        Box(620, 460, 20, 20),
        Box(0, 0, WIDTH_PX, HEIGHT_PX),
        Box(600, 100, 40, 100),
    ],
)
def test_a_label_stays_whole_at_the_edge(operation: str, box: Box) -> None:
    words = "a label of some length"
    middle, edge = (drawn(flat((40, 40, 40)), found(operation, at, words), BEST) for at in (BOX, box))
    shapes = [
        tuple(side.stop - side.start for side in plate(picture, COLOURS[operation], where))
        for picture, where in ((middle, BOX), (edge, box))
    ]
    assert np.abs(np.subtract(*shapes)).max() <= 2 * LINE_PX, "but for what the outline hides from the test"


def test_labels_of_things_at_the_same_place_are_both_there() -> None:
    picture = drawn(flat((40, 40, 40)), found("objects") | found("people") | found("motion"))
    sizes = [picture[plate(picture, COLOURS[each])].size for each in ("objects", "people", "motion")]
    alone = [
        (one := drawn(flat((40, 40, 40)), found(each)))[plate(one, COLOURS[each])].size
        for each in ("objects", "people", "motion")
    ]
    assert all(size >= 0.8 * whole for size, whole in zip(sizes, alone, strict=True)), (sizes, alone)


@pytest.mark.parametrize("length", [100, 4000])
@pytest.mark.parametrize("width_px", [64, 640])
def test_a_long_text_is_cut_off_within_the_picture(length: int, width_px: int) -> None:
    picture = drawn(flat((0, 0, 0), width_px, 400), found("text", Box(10, 200, 40, 40), "W" * length))
    _, columns = plate(picture, COLOURS["text"], Box(10, 200, 40, 40))
    assert columns.stop <= width_px
    assert columns.stop - columns.start > 30


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("plain words, 100 %", "plain words, 100 %"),
        ("Ångström café", "Angstrom cafe"),
        ("ﬁne № ½", "fine No 1?2"),
        ("日本", "??"),
        ("two\r\nlines\tand a tab", "two lines and a tab"),
        ("bell\a escape\x1b[31m null\0 delete\x7f", "bell? escape?[31m null? delete?"),
        ("\u202egnp.exe \ud800 \U0001f600", "?gnp.exe ? ?"),
        ("", ""),
    ],
)
def test_what_the_font_has_not_becomes_something_like_it(words: str, shown: str) -> None:
    assert annotate.printable(words) == shown


@needs.mark("text")
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_a_label_can_be_read_by_a_machine(background: str) -> None:
    picture = drawn(BACKGROUNDS[background](), found("motion") | found("people", Box(20, 300, 100, 150)))
    lines = text.read_text(np.ascontiguousarray(picture[:, :, ::-1]), TextParams(min_score=0.8)).lines
    assert {"motion", "person 93%"} <= {line.text for line in lines}


def test_the_frame_stays_as_it_was() -> None:
    frame = photograph("dog.jpg")
    before = frame.copy()
    annotate.draw(frame, AnnotateParams(), found("objects"))
    assert np.array_equal(frame, before)


def test_results_without_a_place_leave_the_picture_alone() -> None:
    frame = photograph("dog.jpg")
    exposure = Exposure(underexposed=0, overexposed=0, verdict="good")
    quality = QualityResult(
        sharpness=100, brightness=0.5, contrast=0.5, exposure=exposure, is_covered=False, is_frozen=None
    )
    alone, _, _ = annotate.draw(frame, AnnotateParams(), {})
    assert annotate.draw(frame, AnnotateParams(), {"quality": quality})[0] == alone
    with Image.open(io.BytesIO(alone)) as picture:
        difference = np.asarray(picture)[:, :, ::-1].astype(int) - frame
    assert np.abs(difference).mean() < 3


def test_a_lower_quality_is_a_smaller_file() -> None:
    frame = photograph("dog.jpg")
    sizes = [len(annotate.draw(frame, AnnotateParams(jpeg_quality=quality), {})[0]) for quality in (1, 50, 85, 100)]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize(
    ("size", "max_side_px", "expected"),
    [
        ((640, 480), 640, (640, 480)),
        ((640, 480), 320, (320, 240)),
        ((480, 640), 320, (240, 320)),
        ((5000, 1), 64, (64, 1)),
        ((1, 5000), 64, (1, 64)),
        ((1, 1), 64, (1, 1)),
    ],
)
def test_larger_pictures_are_scaled_down(size: tuple[int, int], max_side_px: int, expected: tuple[int, int]) -> None:
    width_px, height_px = size
    params = AnnotateParams(max_side_px=max_side_px)
    picture = drawn(flat(MIDDLE_GREY, width_px, height_px), found("objects", Box(0, 0, width_px, height_px)), params)
    assert (picture.shape[1], picture.shape[0]) == expected


ANYWHERE = st.floats() | st.floats(-10, 200)
POINTS = st.builds(Point, ANYWHERE, ANYWHERE)
BOXES = st.builds(Box, ANYWHERE, ANYWHERE, ANYWHERE, ANYWHERE)
CORNERS = st.tuples(POINTS, POINTS, POINTS, POINTS)
LANDMARKS = st.none() | st.builds(Landmarks, POINTS, POINTS, POINTS, POINTS, POINTS)
SCORES = st.floats(0, 1)
ONE_OF_EACH = st.fixed_dictionaries(
    {},
    optional={
        "codes": st.builds(lambda words, at: CodesResult((Code(words, b"", "QRCode", at, 0),)), st.text(), CORNERS),
        "faces": st.builds(
            lambda box, score, points: FacesResult("haar", (Face(box, score, points),)),
            BOXES,
            st.none() | SCORES,
            LANDMARKS,
        ),
        "objects": st.builds(
            lambda label, score, box: ObjectsResult("own", (Detection(label, score, box),)), st.text(), SCORES, BOXES
        ),
        "people": st.builds(lambda score, box: PeopleResult("hog", 1, (Person(score, box),)), SCORES, BOXES),
        "markers": st.builds(lambda at: MarkersResult((Marker("4X4_50", 1, at, None),)), CORNERS),
        "motion": st.builds(
            lambda *boxes: MotionResult(is_compared=True, score=1, changed_area=1, boxes=boxes), BOXES, BOXES
        ),
        "text": st.builds(lambda words, at: TextResult(words, (TextLine(words, 1, at),)), st.text(), CORNERS),
    },
)


@given(st.integers(1, 150), st.integers(1, 150), st.integers(64, 200), st.integers(1, 100), ONE_OF_EACH)
def test_whatever_was_found_there_is_a_picture(
    width_px: int, height_px: int, max_side_px: int, quality: int, results: dict[str, msgspec.Struct]
) -> None:
    params = AnnotateParams(jpeg_quality=quality, max_side_px=max_side_px)
    picture = drawn(flat(MIDDLE_GREY, width_px, height_px), results, params)
    scale = min(1.0, max_side_px / max(width_px, height_px))
    assert picture.shape[1] == pytest.approx(width_px * scale, abs=1)
    assert picture.shape[0] == pytest.approx(height_px * scale, abs=1)
