"""Text is read: words that Pillow has drawn at known places, in its own font."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from pivision.config import ROOT
from pivision.errors import ModelMissing
from pivision.operations.text import TextLine, TextParams, TextResult
from pivision.vision import text
from pivision.vision.frame import Frame
from tests import needs

ANY = TextParams()
SIZE_PX = 40
TOLERANCE_PX = 0.5 * SIZE_PX  # the reader outlines text with a margin
FONT = ImageFont.load_default(SIZE_PX)

reads = needs.mark("text")


def drawn(*placed: tuple[int, int, str], width_px: int = 640, height_px: int = 480) -> Image.Image:
    """Black words on white, each with its top left at (x, y)."""
    picture = Image.new("RGB", (width_px, height_px), "white")
    for x, y, words in placed:
        ImageDraw.Draw(picture).text((x, y), words, "black", FONT)
    return picture


def box(x: int, y: int, words: str) -> list[tuple[float, float]]:
    """Where Pillow has drawn the words: the four corners, from the top left on."""
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).textbbox((x, y), words, FONT)
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def frame_of(picture: Image.Image) -> Frame:
    """RGB to BGR."""
    return np.ascontiguousarray(np.asarray(picture, np.uint8)[:, :, ::-1])


def read(picture: Image.Image, params: TextParams = ANY) -> TextResult:
    return text.read_text(frame_of(picture), params)


def assert_near(line: TextLine, corners: list[tuple[float, float]], tolerance_px: float = TOLERANCE_PX) -> None:
    found = np.array([(corner.x, corner.y) for corner in line.corners])
    assert np.abs(found - np.array(corners)).max() < tolerance_px, f"{found.round()} is not {corners}"


def test_without_the_package_it_says_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)  # what Python takes for: not to be found
    assert not text.is_installed()
    with pytest.raises(ModelMissing, match="python -m pivision models install text"):
        read(drawn())


@reads
def test_to_ask_whether_it_is_there_imports_nothing() -> None:
    code = "import sys; from pivision.vision import text; print(text.is_installed(), *sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert loaded.startswith("True ")
    assert not {"rapidocr", "onnxruntime"} & set(loaded.split())


@reads
def test_several_lines_from_top_to_bottom_where_they_were_drawn() -> None:
    placed = [(60, 40, "Invoice No. 4711"), (90, 150, "Potatoes 12.50"), (30, 260, "Total: 99 EUR")]
    result = read(drawn(*reversed(placed)))
    assert [line.text for line in result.lines] == [words for _, _, words in placed]
    assert result.text == "Invoice No. 4711\nPotatoes 12.50\nTotal: 99 EUR"
    for line, place in zip(result.lines, placed, strict=True):
        assert_near(line, box(*place))
        assert 0.8 < line.score <= 1


@reads
def test_a_row_is_read_from_left_to_right() -> None:
    # Each to the right stands a little higher: sorted by height alone, the rows would run from right to left.
    placed = [(20, 60, "one"), (240, 55, "two"), (450, 50, "three"), (20, 160, "four"), (240, 155, "five")]
    assert read(drawn(*placed)).text.split("\n") == ["one", "two", "three", "four", "five"]


@reads
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_corners_begin_at_the_texts_own_top_left(quarters: int) -> None:
    place = (60, 120, "Upright or not")
    turned = drawn(place, width_px=480, height_px=300).rotate(90 * quarters, expand=True)  # against the clock
    width_px, height_px = 480, 300
    corners = box(*place)
    for _ in range(quarters):
        corners = [(y, width_px - x) for x, y in corners]
        width_px, height_px = height_px, width_px
    (line,) = read(turned).lines
    assert line.text == "Upright or not"
    assert_near(line, corners)


@reads
@pytest.mark.parametrize("degrees", [-15, -5, 5, 15])
def test_slanted_text_is_outlined_along_its_slant(degrees: int) -> None:
    place = (100, 200, "Slightly slanted")
    turned = drawn(place).rotate(degrees, Image.Resampling.BICUBIC, fillcolor="white")  # around the middle
    radians = np.radians(degrees)
    middle = np.array([320, 240])
    turn = np.array([[np.cos(radians), np.sin(radians)], [-np.sin(radians), np.cos(radians)]])
    (line,) = read(turned).lines
    assert line.text == "Slightly slanted"
    assert_near(line, [tuple(turn @ (np.array(corner) - middle) + middle) for corner in box(*place)])


@reads
@pytest.mark.parametrize("scale", [0.35, 5])
def test_corners_are_the_frames_own_pixels_whatever_its_size(scale: float) -> None:
    place = (100, 200, "Near and far")
    picture = drawn(place)
    scaled = picture.resize((round(640 * scale), round(480 * scale)), Image.Resampling.LANCZOS)
    (line,) = read(scaled).lines
    assert line.text == "Near and far"
    assert_near(line, [(x * scale, y * scale) for x, y in box(*place)], TOLERANCE_PX * scale)


@reads
def test_a_strip_that_is_all_text() -> None:
    words = "a strip that holds one line only"
    _, _, (right, bottom), _ = box(4, -4, words)
    (line,) = read(drawn((4, -4, words), width_px=round(right) + 8, height_px=round(bottom) + 4)).lines
    assert line.text == words


@reads
def test_doubtful_lines_are_left_out() -> None:
    picture = drawn((40, 20, "quite clear"), (40, 120, "a little smudged"), (40, 220, "hardly there"))
    for top, factor in ((100, 5), (200, 7)):
        line = picture.crop((0, top, 640, top + 100))
        small = line.resize((640 // factor, 100 // factor), Image.Resampling.BOX)
        picture.paste(small.resize((640, 100), Image.Resampling.BICUBIC), (0, top))
    everything = read(picture, TextParams(min_score=0)).lines
    scores = sorted(line.score for line in everything)
    assert len(set(scores)) == 3
    surer = read(picture, TextParams(min_score=scores[1])).lines
    assert surer == tuple(line for line in everything if line.score >= scores[1])
    assert len(surer) == 2


@reads
@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 5000), (5000, 1), (4, 4), (31, 300), (300, 31), (480, 640), (2000, 2000)]
)
def test_where_there_is_no_text_there_are_no_lines(shape: tuple[int, int]) -> None:
    assert text.read_text(np.full((*shape, 3), 200, np.uint8), ANY) == TextResult("", ())


@reads
def test_noise_is_no_text() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    assert text.read_text(noise, ANY) == TextResult("", ())


def read_in_a_process_of_its_own(home: Path, after: str = "", **variables: str) -> "subprocess.CompletedProcess[str]":
    """Read a picture with one line of text in another process, after the code `after`."""
    picture = home / "picture.png"
    drawn((60, 40, "read in a box")).save(picture)
    reading = (
        "import cv2; from pivision.vision import text; from pivision.operations.text import TextParams\n"
        "print(text.read_text(cv2.imread(sys.argv[1]), TextParams()).text)"
    )
    run = subprocess.run(
        [sys.executable, "-B", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{after}\n{reading}", picture],
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    picture.unlink()
    return run


def test_a_damaged_package_is_named_with_what_mends_it(tmp_path: Path) -> None:
    for package, code in (("rapidocr", "import no_such_library"), ("onnxruntime", "")):
        (tmp_path / "packages" / package).mkdir(parents=True)
        (tmp_path / "packages" / package / "__init__.py").write_text(code)
    run = read_in_a_process_of_its_own(tmp_path, PYTHONPATH=str(tmp_path / "packages"))
    last = run.stderr.splitlines()[-1]
    assert "ModelUnusable: " in last
    assert "No module named 'no_such_library'" in last
    assert last.endswith("python -m pivision models install text")


@reads
def test_it_leaves_no_files_says_nothing_and_maps_no_memory_that_is_writable_and_executable(tmp_path: Path) -> None:
    # PR_SET_MDWE (Linux 6.3) refuses what MemoryDenyWriteExecute= of the unit does; before it, nothing is refused.
    code = "import ctypes; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)"
    run = read_in_a_process_of_its_own(tmp_path, code)
    assert (run.returncode, run.stdout, run.stderr) == (0, "read in a box\n", "")
    assert not list(tmp_path.iterdir()), "no diary for its maker, no download"


@reads
def test_too_little_memory_is_a_memory_error_and_no_death(tmp_path: Path) -> None:
    code = (
        "import resource, cv2, numpy\n"
        "mapped = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (mapped + (250 << 20),) * 2)"
    )
    run = read_in_a_process_of_its_own(tmp_path, code)
    assert run.returncode == 1
    assert "MemoryError" in run.stderr.splitlines()[-1]
