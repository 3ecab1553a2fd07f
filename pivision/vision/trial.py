"""Tries models in a process of its own, because a file that OpenCV trips over may end the process that loads it.

`python -m pivision.vision.trial FOLDER NAME` loads one model, lets it look at a blank picture, and prints as its last
line one JSON object: {"IDENTITY OF THE FILE": null}, or in place of null what is wrong with it. A process that ends
without that line has told something, too: `tried` reads both.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import msgspec
import numpy as np

import pivision
from pivision import program
from pivision.errors import ModelMissing, ModelUnusable, OutOfMemory
from pivision.models import TRIAL_SECONDS, Installed, Models
from pivision.operations.faces import FacesParams
from pivision.operations.objects import ObjectsParams
from pivision.vision import faces, objects
from pivision.vision.network import Network

_ROOT = Path(pivision.__file__).parent.parent


def warm(installed: Installed) -> Network:
    """The network of an installed model, after its first look: the next, at this size, is no slower than the tenth.

    With a score of 0 something is found even there, and all of the code has run; a network of another family is found
    out. Raises ModelUnusable, OutOfMemory.
    """
    network = Network(installed)
    side_px = installed.model.input_side_px
    blank = np.zeros((side_px, side_px, 3), np.uint8)
    if installed.model.operation == "faces":
        faces.find_faces(blank, FacesParams(min_score=0, max_side_px=side_px), network)
    else:
        objects.find_objects(blank, ObjectsParams(min_score=0), network)
    return network


def tried(folder: Path, names: Collection[str], timeout_seconds: float) -> dict[str, str | None]:
    """Try the models of these names in `folder`, each in a process of its own that has so much time.

    The verdicts, by the identity of the model's file: None, or why it cannot be used. Models that are not installed,
    and those whose file is damaged, have none: `Models.require` refuses them.
    """
    models = Models(folder)
    verdicts = {}
    for model in models.known():
        if model.name in names:
            with contextlib.suppress(ModelMissing, ModelUnusable):
                verdicts[models.require(model).identity] = _verdict(folder, model.name, timeout_seconds)
    return verdicts


def _verdict(folder: Path, name: str, timeout_seconds: float) -> str | None:
    command = [sys.executable, "-m", "pivision.vision.trial", str(folder.absolute()), name]
    environment = {**os.environ, program.PARENT: str(os.getpid())}
    try:
        ended = subprocess.run(
            command, cwd=_ROOT, env=environment, capture_output=True, timeout=timeout_seconds, check=False
        )
    except (subprocess.TimeoutExpired, PermissionError):  # a worker may end no other process; this one ends itself
        return f"it took longer than {timeout_seconds:g} s"
    if ended.returncode < 0:
        return f"it ended the process that tried it, by {signal.Signals(-ended.returncode).name}"
    try:
        (verdict,) = msgspec.json.decode(ended.stdout.splitlines()[-1], type=dict[str, str | None]).values()
    except (IndexError, ValueError):
        last = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return f"the process that tried it ended with status {ended.returncode}: {last}"
    return verdict


def main() -> None:
    """`python -m pivision.vision.trial FOLDER NAME`."""
    program.end_with_parent()  # a file that blocks OpenCV would outlive the worker
    signal.setitimer(signal.ITIMER_REAL, TRIAL_SECONDS)  # SIGALRM ends this process, even in C
    models, name = Models(Path(sys.argv[1])), sys.argv[2]
    model = next((model for model in models.known() if model.name == name), None)
    if model is None:
        sys.exit(f"there is no model {name!r} in {models.folder}")
    installed = models.require(model)
    try:
        warm(installed)
        verdict = None
    except (ModelUnusable, OutOfMemory) as error:
        verdict = str(error)
    sys.stdout.write(msgspec.json.encode({installed.identity: verdict}).decode() + "\n")


if __name__ == "__main__":
    main()
