"""Real photographs and real weights for the tests of the vision, which run against several versions of OpenCV."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pivision.config import ROOT
from pivision.models import Models
from pivision.models.catalogue import CATALOGUE
from pivision.vision import frame
from pivision.vision.frame import Frame
from tests.unit import conftest as _  # noqa: F401  # loads the profile of hypothesis

PICTURES = ROOT / "tests" / "pictures"
_WEIGHTS = [Path(os.environ.get("PIVISION_MODEL_MIRROR", ROOT.parent / "shared" / "models")), ROOT / "models"]


def weights(file: str) -> Path:
    """A model's file, from the mirror or from where `make run` installs it; the test is skipped if there is none."""
    for folder in _WEIGHTS:
        if (folder / file).is_file():
            return folder / file
    names = [model.name for model in CATALOGUE if model.file == file]
    pytest.skip(
        f"{file}: .venv/bin/python -m pivision models install {names[0]}" if names else f"no {file} in a mirror"
    )


def photograph(name: str) -> Frame:
    """One of tests/pictures, decoded."""
    return frame.decode((PICTURES / name).read_bytes())


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., Models]:
    """Puts models of the catalogue, by name, into a folder of their own."""

    def installed(*names: str) -> Models:
        folder = tmp_path / "models"
        folder.mkdir(exist_ok=True)
        for model in CATALOGUE:
            if model.name in names:
                (folder / model.file).symlink_to(weights(model.file))
        return Models(folder)

    return installed
