"""`python -m pivision models`, as a person types it."""

import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pivision.config import ROOT
from pivision.models import catalogue
from pivision.models.catalogue import FILES
from tests.vision.conftest import weights

YUNET, NANODET = catalogue.first("faces"), catalogue.first("objects")
COMMAND = [sys.executable, "-m", "pivision", "models"]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A folder that has the two models of the default, and no others."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    for model in (YUNET, NANODET):
        (mirror / model.file).symlink_to(weights(model.file))
    return mirror


@pytest.fixture
def environment(folder: Path, mirror: Path, tmp_path: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("PIVISION_")},
        "PIVISION_MODELS_DIR": str(folder),
        "PIVISION_MODEL_MIRROR": str(mirror),
        "PIVISION_RUN_DIR": str(tmp_path / "run"),
    }


@pytest.fixture
def models(environment: dict[str, str]) -> Run:
    """Runs the command."""

    def run(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=ROOT,
            env={**environment, **settings},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def rows(listed: str) -> dict[str, list[str]]:
    """The columns of the table, by the first one."""
    lines = listed.partition("\n\n")[0].splitlines()
    return {line.split()[0]: re.split(r"\s{2,}", line)[1:] for line in lines[1:]}


def test_what_no_operation_looks_with_is_checked_like_the_rest(models: Run, folder: Path, mirror: Path) -> None:
    other = FILES["mobilenet"]
    (mirror / other.file).write_bytes(b"no model")
    refused = models("install", "mobilenet")
    assert refused.returncode == 1
    assert "mobilenet" in refused.stderr
    assert not (folder / other.file).exists()
    folder.mkdir(exist_ok=True)
    (folder / other.file).write_bytes(b"no model")
    listed = models()
    assert rows(listed.stdout)["mobilenet"] == ["-", "14.0 MB", "Apache-2.0", "damaged"]
    assert f"{folder / other.file} is damaged" in listed.stdout
    assert models("remove", "mobilenet").stdout == "mobilenet: removed\n"


def test_the_whole_way_of_a_box(models: Run, folder: Path, mirror: Path) -> None:
    listed = models()
    assert (listed.returncode, listed.stderr) == (0, "")
    assert list(rows(listed.stdout)) == [*FILES, "text"]
    assert rows(listed.stdout)["nanodet"] == ["objects", "3.8 MB", "Apache-2.0", "not installed"]
    assert "\nfaces:   nothing yet; .venv/bin/python -m pivision models install faces\n" in listed.stdout
    assert not folder.exists(), "looking makes nothing"

    installed = models("install")
    assert (installed.returncode, installed.stdout) == (
        0,
        f"yunet: {folder / YUNET.file}\nnanodet: {folder / NANODET.file}\n",
    )
    assert re.fullmatch(
        r"downloading yunet: 0\.2 MB\ndownloaded yunet: 0\.2 MB in [\d.]+ s\n"
        r"downloading nanodet: 3\.8 MB\ndownloaded nanodet: 3\.8 MB in [\d.]+ s\n",
        installed.stderr,
    )
    assert (folder / YUNET.file).read_bytes() == (mirror / YUNET.file).read_bytes()
    again = models("install", "people", "objects", "nanodet")
    assert (again.returncode, again.stdout, again.stderr) == (0, f"nanodet: {folder / NANODET.file}\n", "")

    listed = models()
    assert rows(listed.stdout)["yunet"][-1] == rows(listed.stdout)["nanodet"][-1] == "installed"
    assert "\nfaces:   yunet\nobjects: nanodet\npeople:  nanodet\n" in listed.stdout
    assert listed.stdout.endswith(f"in {folder}\n")

    removed = models("remove", "nanodet", "yolox")
    assert (removed.returncode, removed.stdout) == (0, "nanodet: removed\nyolox: not installed\n")
    assert [path.name for path in folder.iterdir()] == [YUNET.file]


def test_damage_and_the_owners_own_are_listed(models: Run, folder: Path) -> None:
    assert models("install", "faces").returncode == 0
    (folder / YUNET.file).write_bytes(b"damaged")
    for name in ("parcels", "letters", "broken"):
        text = f'file = "{name}.onnx"\nfamily = "yolox"\ninput_side_px = 416\nlabels = ["{name}"]\n'
        (folder / f"{name}.toml").write_text(text.replace("yolox", "yolov9") if name == "broken" else text)
    shutil.copy(folder / YUNET.file, folder / "parcels.onnx")
    listed = models()
    assert listed.returncode == 0
    states = {name: columns[-1] for name, columns in rows(listed.stdout).items()}
    assert (states["yunet"], states["parcels"], states["letters"]) == ("damaged", "own", "own, no file")
    assert states["broken.toml"] == "wrong manifest"
    assert f"{folder / YUNET.file} is damaged or another file: .venv/bin/python -m pivision models install yunet" in (
        listed.stdout
    )
    assert f"{folder}/broken.toml: Invalid enum value 'yolov9'" in listed.stdout
    assert "\nfaces:   yunet, damaged\nobjects: parcels\npeople:  nothing yet" in listed.stdout
    repaired = models("install", "faces")
    assert repaired.returncode == 0
    assert rows(models().stdout)["yunet"][-1] == "installed"


def test_what_cannot_be_had_is_said_and_the_rest_is_installed(models: Run, folder: Path, mirror: Path) -> None:
    run = models("install", "yolox", "faces")
    assert run.returncode == 1
    assert run.stdout == f"yunet: {folder / YUNET.file}\n"
    assert f"pivision: file://{mirror}/object_detection_yolox_2022nov.onnx: No such file" in run.stderr
    assert "[download-failed]\n" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["install", "faces", "yolo"], "there is no model 'yolo'; is it 'yolox'?"),
        (["install", "peopel"], "is it 'people'?"),
        (["install", "../etc"], "there are: yunet, "),
        (["remove", "nanodte"], "is it 'nanodet'?"),
        (["remove", "faces"], "the catalogue has no model 'faces'"),
    ],
)
def test_a_wrong_name_is_said_before_anything_is_done(
    models: Run, folder: Path, arguments: list[str], says: str
) -> None:
    run = models(*arguments)
    assert run.returncode == 1
    assert says in run.stderr.splitlines()[0]
    assert "Traceback" not in run.stderr
    assert not folder.exists()


def test_the_owners_own_files_are_left_to_him(models: Run, folder: Path) -> None:
    folder.mkdir()
    (folder / "parcels.toml").write_text("")
    run = models("remove", "parcels")
    assert run.returncode == 1
    assert "parcels.toml is your own" in run.stderr
    assert (folder / "parcels.toml").exists()


def test_a_python_without_packages_is_told_which_one_has_them(environment: dict[str, str]) -> None:
    python = str(Path(sys.base_prefix, "bin", "python3"))
    run = subprocess.run(
        [python, "-S", "-m", "pivision", "models"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 1
    assert run.stderr.startswith("pivision: No module named")
    assert ".venv/bin/python has it" in run.stderr


def test_a_terminal_sees_one_line_that_grows(environment: dict[str, str], folder: Path) -> None:
    reader, writer = pty.openpty()
    command = subprocess.Popen(
        [*COMMAND, "install", "objects"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=writer, text=True
    )
    os.close(writer)
    output, _ = command.communicate(timeout=120)
    seen = b""
    with os.fdopen(reader, "rb", buffering=0) as terminal:
        try:
            while more := terminal.read(4096):
                seen += more
        except OSError:  # EIO: the other end is closed
            pass
    assert (command.returncode, output) == (0, f"nanodet: {folder / NANODET.file}\n")
    lines = seen.decode().rstrip().split("\r\x1b[K")
    assert re.fullmatch(r"nanodet \[#+\]  100 %  3\.8 of 3\.8 MB  [\d.]+ MB/s", lines[-1])
    assert seen.count(b"\n") == 1


def test_a_model_that_opencv_cannot_load_is_said(models: Run, folder: Path) -> None:
    """The catalogue's files are what they should be, so one is tried that a mirror cannot bring: the owner's own."""
    pytest.importorskip("pivision.vision.trial")
    folder.mkdir()
    (folder / "parcels.onnx").write_bytes(b"no ONNX")
    (folder / "parcels.toml").write_text(
        'file = "parcels.onnx"\nfamily = "yolox"\ninput_side_px = 416\nlabels = ["x"]\n'
    )
    assert models("install").returncode == 0
    asked = subprocess.run(
        [sys.executable, "-m", "pivision.probe", "unloadable", "parcels", "yunet"],
        cwd=ROOT,
        env={**os.environ, "PIVISION_MODELS_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert '"parcels": "' in asked.stdout
    assert "yunet" not in asked.stdout
