"""A worker that loads models at its start lives, however long that takes."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from pivision import heartbeat
from pivision.health.healing import GRACE_SECONDS
from pivision.models.coco import LABELS
from tests.api.conftest import serving
from tests.box import eventually
from tests.vision.conftest import weights
from tests.vision.networks import HANGING_LOADER, owned


def test_a_worker_shows_that_it_lives_while_a_model_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Health would end it else, and each of its successors."""
    (tmp_path / "sitecustomize.py").write_text(HANGING_LOADER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "models").mkdir()
    owned(tmp_path / "models", "slow", weights("yolox_nano.onnx"), LABELS, family="yolox", side_px=416)
    settings = {"models_dir": tmp_path / "models", "models_at_start": "objects"}
    with contextlib.ExitStack() as stack:
        api = stack.enter_context(serving(**settings))
        tells = api.run_dir / heartbeat.FOLDER / "trial"  # where a worker may write
        api.environment["PYTHON_TELLS"] = str(tells)  # a name that a worker keeps
        worker = stack.enter_context(api.program("pivision.worker", "1"))
        trial = int(eventually(lambda: tells.read_text().strip() if tells.exists() else None, "the trial hangs"))
        sign = heartbeat.read(api.run_dir, 1)
        os.kill(trial, signal.SIGKILL)
        assert sign is not None
        assert sign.pid == worker.pid
        assert sign.due - heartbeat.boottime() > GRACE_SECONDS
        eventually(lambda: "ready" in api.log("pivision.worker"), "the worker goes on without this model")
        assert "SIGKILL" in api.log("pivision.worker")
