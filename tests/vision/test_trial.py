"""Models are tried in a process of their own: what loads, what does not, what kills, and what takes for ever."""

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import msgspec
import pytest

from pivision.config import ROOT
from pivision.errors import ModelUnusable
from pivision.models import Models
from pivision.models.coco import LABELS
from pivision.vision import trial
from tests.vision.conftest import weights
from tests.vision.networks import HANGING_LOADER, network, owned

YUNET = "face_detection_yunet_2023mar.onnx"
AMPLE_SECONDS = 60.0


@pytest.fixture
def folder(install: Callable[..., Models], tmp_path: Path) -> Path:
    """Two models of the catalogue and one of the owner's, all in order; more are known and not installed."""
    models = install("yunet", "nanodet")
    owned(models.folder, "mine", weights("yolox_nano.onnx"), LABELS, family="yolox", side_px=416)
    return models.folder


def add(folder: Path, name: str, data: bytes) -> str:
    """An owner's model with this file; returns its identity."""
    (folder / f"{name}.onnx").write_bytes(data)
    return owned(folder, name, folder / f"{name}.onnx", ("parcel",), family="yolox", side_px=416).identity


def identity(folder: Path, operation: str, name: str) -> str:
    return Models(folder).choose(operation, name).identity


def test_what_is_in_order(folder: Path) -> None:
    assert trial.tried(folder, ["yunet", "nanodet", "mine", "yolox", "unheard-of"], AMPLE_SECONDS) == {
        identity(folder, "faces", "yunet"): None,
        identity(folder, "objects", "nanodet"): None,
        identity(folder, "objects", "mine"): None,
    }


def test_only_what_is_asked_for_is_tried(folder: Path) -> None:
    assert list(trial.tried(folder, ["mine"], AMPLE_SECONDS)) == [identity(folder, "objects", "mine")]
    assert trial.tried(folder, [], AMPLE_SECONDS) == {}


def test_a_model_that_kills_the_process_costs_the_others_nothing(folder: Path) -> None:
    """A layer of a kind whose name is no text: OpenCV's bindings die of the error that they want to raise.

    In 4.6 they raise one without a message.
    """
    good = weights(YUNET).read_bytes()
    killing = add(folder, "killing", good.replace(b"MaxPool\x2a", b"MaxPoo\xff\x2a"))
    verdicts = trial.tried(folder, ["killing", "mine", "yunet"], AMPLE_SECONDS)
    fault = verdicts.pop(killing)
    assert fault is not None
    if not cv2.__version__.startswith("4.6."):
        assert fault == "it ended the process that tried it, by SIGSEGV"
    assert verdicts == {identity(folder, "faces", "yunet"): None, identity(folder, "objects", "mine"): None}


def test_what_is_wrong_with_a_model_is_told(folder: Path) -> None:
    text = add(folder, "text", b"This is no ONNX file.")
    misfit = add(folder, "misfit", weights("yolox_nano.onnx").read_bytes())
    verdicts = trial.tried(folder, ["text", "misfit"], AMPLE_SECONDS)
    assert verdicts.keys() == {text, misfit}
    assert f"OpenCV {cv2.__version__} cannot load" in (verdicts[text] or "")
    assert "no yolox network with 1 labels" in (verdicts[misfit] or "")


def test_a_damaged_file_of_the_catalogue_has_no_verdict(folder: Path) -> None:
    file = folder / YUNET
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data[:-1] + b"x")
    assert trial.tried(folder, ["yunet"], AMPLE_SECONDS) == {}


def test_a_model_has_its_time_and_no_more(folder: Path) -> None:
    verdicts = trial.tried(folder, ["mine"], timeout_seconds=0.01)
    assert verdicts == {identity(folder, "objects", "mine"): "it took longer than 0.01 s"}


def test_a_process_that_ends_otherwise(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys, os\nsys.stderr.write('no luck\\n')\nos._exit(3)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    verdicts = trial.tried(folder, ["mine"], AMPLE_SECONDS)
    assert list(verdicts.values()) == ["the process that tried it ended with status 3: no luck"]


def test_the_last_line_is_the_verdict(folder: Path) -> None:
    command = [sys.executable, "-m", "pivision.vision.trial", str(folder), "mine"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert msgspec.json.decode(ended.stdout.splitlines()[-1]) == {identity(folder, "objects", "mine"): None}


def test_a_name_that_nobody_knows(folder: Path) -> None:
    command = [sys.executable, "-m", "pivision.vision.trial", str(folder), "unheard-of"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"there is no model 'unheard-of' in {folder}\n"


def test_a_trial_does_not_outlive_its_worker(folder: Path, tmp_path: Path) -> None:
    """The deadline of a task may end the worker while a model is tried; a trial that hangs would stay for ever."""
    tells = tmp_path / "tells"
    os.mkfifo(tells)
    (tmp_path / "sitecustomize.py").write_text(HANGING_LOADER)
    tries = "import sys, pathlib, pivision.vision.trial as t; t.tried(pathlib.Path(sys.argv[1]), ['mine'], 600)"
    worker = subprocess.Popen(
        [sys.executable, "-c", tries, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHON_TELLS": str(tells), "PYTHONPATH": str(tmp_path)},
    )
    child = os.pidfd_open(int(tells.read_text()))
    worker.kill()
    worker.wait()
    try:
        assert select.select([child], [], [], 10)[0] == [child]
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(child, signal.SIGKILL)
        os.close(child)


def test_a_warm_network_has_looked(folder: Path) -> None:
    installed = Models(folder).choose("objects", "mine")
    assert trial.warm(installed).installed == installed
    assert trial.warm(network("yunet").installed).installed.model.name == "yunet"
    add(folder, "misfit", weights("yolox_nano.onnx").read_bytes())
    with pytest.raises(ModelUnusable, match="no yolox network with 1 labels"):
        trial.warm(Models(folder).choose("objects", "misfit"))
