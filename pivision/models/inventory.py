"""What is in the folder of models: for people, and for the doctor."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pivision.errors import ModelMissing, ModelUnusable
from pivision.models import OPERATIONS, Models, manifest
from pivision.models.model import File, Model

_TEXT_PACKAGES = ("rapidocr", "onnxruntime")  # the first reads text and has its own models, the second runs them

State = Literal["installed", "damaged", "not installed"]


class Entry(NamedTuple):
    """A model, and how its file is."""

    model: Model
    state: State
    fault: str  # empty when it is installed


def entries(models: Models) -> list[Entry]:
    """Every model that is known. Each file is read to its end."""
    return [Entry(model, *state_of(models, model)) for model in models.known()]


def state_of(models: Models, file: File) -> tuple[State, str]:
    """How a file is, and what is wrong when it is not installed. It is read to its end."""
    try:
        models.check(file)
    except ModelMissing as error:
        return "not installed", str(error)
    except ModelUnusable as error:
        return "damaged", str(error)
    return "installed", ""


def wrong_manifests(models: Models) -> dict[Path, str]:
    """What is wrong with those that describe no model."""
    wrong = {}
    for file in manifest.files(models.folder):
        try:
            manifest.read(file)
        except ModelUnusable as error:
            wrong[file] = str(error)
    return wrong


def who_looks(models: Models, stand_ins: Mapping[str, str]) -> dict[str, str | None]:
    """Who looks when a task names no model, by operation.

    It is a model, in order or not; without one, what `stand_ins` has; None where there is neither.
    """
    return {operation: _first(models, operation) or stand_ins.get(operation) for operation in OPERATIONS}


def text_reader() -> str | None:
    """The package that reads text, if it is installed; it is not imported."""
    return _TEXT_PACKAGES[0] if all(map(importlib.util.find_spec, _TEXT_PACKAGES)) else None


def _first(models: Models, operation: str) -> str | None:
    try:
        return models.first(operation).name
    except ModelMissing:
        return None
