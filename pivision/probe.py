"""Answers what only a Python with all packages can tell, as JSON: `python -m pivision.probe QUESTION`.

The doctor, which has no packages, asks it in a process of its own. Each question imports only what it needs, so that an
OpenCV that dies at its import does not take the others along.
"""

import contextlib
import importlib.metadata
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pivision.errors import DatabaseBusy, ModelMissing, ModelUnusable, PiVisionError

if TYPE_CHECKING:
    from pivision.models import Models

_OPENCV_PARTS = (
    "CascadeClassifier",
    "HOGDescriptor",
    "FaceDetectorYN",
    "FaceRecognizerSF",
    "QRCodeDetector",
    "barcode.BarcodeDetector",
    "aruco.ArucoDetector",
    "createBackgroundSubtractorMOG2",
    "ORB_create",
    "dnn.readNetFromONNX",
    "dnn.readNetFromTFLite",
    "dnn.readNetFromCaffe",
    "dnn.readNetFromDarknet",
)
"""What comes and goes between the versions and builds of OpenCV."""

_QUICK_CHECK_LINES = 5


def settings() -> dict[str, str]:
    """Every setting, as the PIVISION_* variable that would bring it about."""
    from pivision import config

    return config.in_use().environment()


def opencv() -> dict[str, Any]:
    """The version of OpenCV, and what this build has not."""
    import cv2

    return {"version": cv2.__version__, "lacks": [part for part in _OPENCV_PARTS if not _has(cv2, part)]}


def sqlite() -> str:
    """The version of the SQLite that the store uses."""
    import apsw

    return apsw.sqlite_lib_version()


def packages() -> dict[str, tuple[str, str | None]]:
    """Of each pin in requirements.txt: the version that is pinned, and the one that is installed."""
    pins = re.findall(r"^([\w-]+)==(\S+)", Path("requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    return {name: (pinned, _installed(name)) for name, pinned in pins}


def models() -> dict[str, Any]:
    """Who looks for each operation that needs a model, and what is wrong with the models that are there.

    `looks`: a model's name, or what OpenCV has itself, or null. `damaged`, `unloadable`, `incomplete` (own models
    without their file): what is wrong, by the model's name. `manifests`: the same for manifests that describe none.
    """
    from pivision.models import inventory
    from pivision.vision import opencv

    there = _models()
    entries = inventory.entries(there)
    return {
        "looks": {**inventory.who_looks(there, opencv.stand_ins()), "text": inventory.text_reader()},
        "damaged": {model.name: fault for model, state, fault in entries if state == "damaged"},
        "incomplete": {model.name: fault for model, _, fault in entries if fault and model.origin is None},
        "unloadable": unloadable(*(model.name for model, state, _ in entries if state == "installed")),
        "manifests": list(inventory.wrong_manifests(there).values()),
    }


def unloadable(*names: str) -> dict[str, str]:
    """Why this OpenCV cannot load some of these models, by their names; those that it can are left out."""
    from pivision.models import TRIAL_SECONDS
    from pivision.vision import trial

    there = _models()
    verdicts = trial.tried(there.folder, list(names), TRIAL_SECONDS)
    faults = {}
    for model in there.known():
        with contextlib.suppress(ModelMissing, ModelUnusable):
            if model.name in names and (fault := verdicts.get(there.require(model).identity)):
                faults[model.name] = fault
    return faults


def database(file: str) -> list[str]:
    """What is wrong with a database file; nothing is written into it, and a running appliance goes on meanwhile."""
    import apsw

    from pivision.store import schema

    try:
        connection = apsw.Connection(file, flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(5000)
        if connection.pragma("application_id") != schema.APPLICATION_ID:
            return ["it is not a PiVision database"]
        found = connection.execute(f"PRAGMA quick_check({_QUICK_CHECK_LINES})").fetchall()
    except apsw.BusyError as error:
        raise DatabaseBusy(str(error)) from None
    except apsw.Error as error:
        return [str(error)]
    return [str(line) for (line,) in found if line != "ok"]


def _models() -> "Models":
    from pivision import config
    from pivision.models import Models

    return Models(config.load().models_dir)


def _has(module: Any, part: str) -> bool:
    for name in part.split("."):
        module = getattr(module, name, None)
    return module is not None


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def main() -> None:
    """Answer the question on the command line; what goes wrong is one line on standard error."""
    asked = (settings, opencv, sqlite, packages, models, unloadable, database)
    questions: dict[str, Callable[..., Any]] = {function.__name__: function for function in asked}
    try:
        json.dump(questions[sys.argv[1]](*sys.argv[2:]), sys.stdout)
    except (PiVisionError, ImportError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
