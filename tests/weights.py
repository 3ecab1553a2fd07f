"""Where the tests and the benchmarks find the models' files: in a mirror, or where `make run` installs them."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pivision.config import ROOT
from pivision.models.catalogue import CATALOGUE
from pivision.models.model import Model

MIRROR = Path(os.environ.get("PIVISION_MODEL_MIRROR", ROOT.parent / "shared" / "models"))
"""A folder with the files. The tests never download."""


def model(name: str) -> Model:
    """The model of the catalogue that has this name."""
    return next(model for model in CATALOGUE if model.name == name)


def find(file: str) -> Path | None:
    """A model's file; None if it is in neither."""
    return next((folder / file for folder in (MIRROR, ROOT / "models") if (folder / file).is_file()), None)


def how_to_install(file: str) -> str:
    """What to do when a file is in neither."""
    names = [model.name for model in CATALOGUE if model.file == file]
    return f"{file} is not here: " + (
        f".venv/bin/python -m pivision models install {names[0]}" if names else "no mirror"
    )


@contextlib.contextmanager
def folder(*names: str) -> Iterator[Path]:
    """A folder with these models of the catalogue and no other. Raises FileNotFoundError for one that is nowhere."""
    with tempfile.TemporaryDirectory(prefix="pv-models-") as temporary:
        for name in names:
            file = model(name).file
            if (found := find(file)) is None:
                raise FileNotFoundError(how_to_install(file))
            (Path(temporary) / file).symlink_to(found)
        yield Path(temporary)
