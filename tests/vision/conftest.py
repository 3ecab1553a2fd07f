"""Real photographs and real weights for the tests of the vision, which run against several versions of OpenCV."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pivision.config import ROOT
from pivision.models import Models
from pivision.models.catalogue import CATALOGUE
from pivision.vision import frame
from pivision.vision.frame import Frame
from tests import needs
from tests import weights as where
from tests.unit import conftest as _  # noqa: F401  # loads the profile of hypothesis

PICTURES = ROOT / "tests" / "pictures"


def weights(file: str) -> Path:
    """A model's file; the test is skipped if it is not here."""
    found = where.find(file)
    if found is None:
        needs.skip("models", where.how_to_install(file))
    return found


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
