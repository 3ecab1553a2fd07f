"""What a worker does with one task, where a model is slow to try or a picture is gone: real models, store, images."""

import contextlib
import io
import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pivision import abilities
from pivision.config import ROOT, Settings
from pivision.images import Images
from pivision.models import Models
from pivision.models.coco import LABELS
from pivision.store import Store
from pivision.task import Image, NewTask
from pivision.work import Work
from tests.vision.conftest import weights
from tests.vision.networks import HANGING_LOADER, owned

DOG = (ROOT / "tests" / "pictures" / "dog.jpg").read_bytes()
MARKER = (ROOT / "tests" / "pictures" / "marker.jpg").read_bytes()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in ("run", "models"):
        (tmp_path / name).mkdir()
    return Settings(run_dir=tmp_path / "run", models_dir=tmp_path / "models")


def seen(work: Work, store: Store, images: Images, picture: bytes, operations: Any, source: str = "") -> Any:
    """The result of a task of this picture."""
    with images.receive(io.BytesIO(picture), len(picture)) as image, image.kept():
        described = Image(image.sha256, "jpeg", 768, 576, len(picture))
        store.add(NewTask(described, msgspec.Raw(json.dumps(operations).encode()), source or None))
    task = store.claim(1)
    assert task is not None
    with contextlib.ExitStack() as kept:
        result, error = work.result_of(task, kept)
        assert store.finish(task, result) if error is None else store.fail(task, error, result)
    return json.loads(result)


def test_a_task_waits_for_the_trial_of_no_other_model(
    settings: Settings, store: Store, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that waited for all of them would be ended by the task's deadline, and the next one after it."""
    network = weights("yolox_nano.onnx")
    for name in ("slow", "zebra"):  # the order in which they are tried
        owned(settings.models_dir, name, network, LABELS, family="yolox", side_px=416)
    tells = tmp_path / "tells"
    os.mkfifo(tells)
    (tmp_path / "sitecustomize.py").write_text(HANGING_LOADER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHON_TRIAL", "slow")
    monkeypatch.setenv("PYTHON_TELLS", str(tells))
    work = Work(settings, store, images)
    beside = threading.Thread(target=work.try_models)
    beside.start()
    trial = int(tells.read_text())
    try:
        found = seen(work, store, images, DOG, [{"name": "objects", "params": {"model": "zebra"}}])
        assert "dog" in {thing["label"] for thing in found["objects"]["objects"]}
        models = Models(settings.models_dir)
        zebra, slow = (models.choose("objects", name).identity for name in ("zebra", "slow"))
        told = abilities.published(settings.run_dir)
        assert told is not None
        assert told.models == {zebra: None}, "a worker that is ended now has not tried in vain"
    finally:
        os.kill(trial, signal.SIGKILL)
        beside.join()
    told = abilities.published(settings.run_dir)
    assert told is not None
    assert told.models == {zebra: None, slow: "it ended the process that tried it, by SIGKILL"}
    (settings.models_dir / "slow.toml").unlink()
    work.try_models()
    told = abilities.published(settings.run_dir)
    assert told is not None
    assert told.models == {zebra: None}, "what is gone is forgotten"


def test_a_damaged_picture_before_is_none(settings: Settings, store: Store, images: Images) -> None:
    work = Work(settings, store, images)
    before = seen(work, store, images, MARKER, ["quality"], "door")
    assert before["quality"]["is_frozen"] is None
    work.rest()
    (file,) = (images.path(name) for name in images.names())
    file.chmod(0o600)
    file.write_bytes(MARKER[: len(MARKER) // 2])
    assert seen(work, store, images, DOG, ["motion"], "door")["motion"]["is_compared"] is False


def test_the_picture_before_need_not_be_read_again(settings: Settings, store: Store, images: Images) -> None:
    work = Work(settings, store, images)
    seen(work, store, images, MARKER, ["quality"], "door")
    for name in images.names():
        images.path(name).unlink()
    assert seen(work, store, images, DOG, ["motion"], "door")["motion"]["is_compared"] is True
    for name in images.names():
        images.path(name).unlink()
    work.rest()
    assert seen(work, store, images, MARKER, ["motion"], "door")["motion"]["is_compared"] is False, "nothing is kept"
