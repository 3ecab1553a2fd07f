"""What a worker does with one task: read the picture, decode it once, run the operations, keep what they draw.

It also finds out what the vision can do here, and tells the server (`pivision.abilities`). A model that nobody has
tried with this OpenCV is tried in a process of its own first: a file that makes OpenCV crash must not end one worker
after the other.
"""

import contextlib
import functools
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Collection
from typing import Any

import cv2
import msgspec
import numpy as np

from pivision import abilities, operations, picture, vision
from pivision.abilities import Abilities
from pivision.config import Settings
from pivision.errors import (
    DatabaseBusy,
    DatabaseUnusable,
    ImageEmpty,
    ImageLost,
    ImageTooComplex,
    ImageTruncated,
    ImageUndecodable,
    ImageUnsupported,
    ModelMissing,
    ModelUnusable,
    OperationFailed,
    OutOfMemory,
    PiVisionError,
    StorageUnavailable,
)
from pivision.images import Images
from pivision.models import TRIAL_SECONDS, Installed, Models
from pivision.operations import OPERATIONS, OperationCall
from pivision.store import Store
from pivision.task import Image, Task, TaskError
from pivision.vision import frame, opencv, text, trial
from pivision.vision.frame import Decoded, Frame
from pivision.vision.scene import Scene

_DRAWS = "annotate"  # what the others have found, so it runs last
_CARD_SIDE_PX = 640
_PREVIEW_FROM_BYTES = 100_000
_DAMAGED = (  # what a card that rots makes of a picture
    ImageEmpty,
    ImageTooComplex,
    ImageTruncated,
    ImageUnsupported,
    ImageUndecodable,
)

PASSING = (StorageUnavailable, DatabaseBusy, DatabaseUnusable)
"""What says nothing about a task: a file or the database is out of reach just now."""


class Work:
    """The work of one worker."""

    def __init__(self, settings: Settings, store: Store, images: Images) -> None:
        self._settings = settings
        self._store = store
        self._images = images
        self._models = Models(settings.models_dir)
        self._vision = vision.Vision()
        self._trying: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)  # by the identity of the model
        self._telling = threading.Lock()
        self._abilities = self._publish(_abilities(abilities.published(settings.run_dir)))
        self._last: tuple[str, Decoded] | None = None  # of a source: probably the picture before the next one
        self._log = logging.getLogger("work")

    def result_of(self, task: Task, kept: contextlib.ExitStack) -> tuple[bytes, TaskError | None]:
        """The task's result as JSON, and an error if no operation has one.

        What was drawn is protected from removal until `kept` is closed: after the result was stored. Raises one of
        PASSING for what may pass by itself: no reason to fail a task for good.
        """
        outcomes: dict[str, dict[str, Any]] = {}
        errors: list[TaskError] = []
        try:
            calls = operations.parse(bytes(task.operations))
            decoded = self._decoded(task)
            scene = Scene(
                frame=decoded.frame,
                previous=functools.cache(lambda: self._previous(task)),
                found={},
                keep=lambda jpeg: kept.enter_context(self._images.kept(jpeg)),
            )
        except PASSING:
            raise
        except PiVisionError as refusal:
            return b"{}", task_error(refusal)
        except MemoryError:
            return b"{}", task_error(OutOfMemory("reading the image"))
        warnings = {"warnings": decoded.warnings} if decoded.warnings else {}
        for call in sorted(calls, key=lambda call: call.name == _DRAWS):
            started = time.perf_counter()
            try:
                scene.found[call.name] = found = self._vision.run(call, scene, self._model_for(call))
                outcome = msgspec.to_builtins(found)
            except PASSING:
                raise
            except PiVisionError as refusal:
                errors.append(task_error(refusal))
                outcome = {"error": errors[-1]}
            outcomes[call.name] = {
                "milliseconds": round((time.perf_counter() - started) * 1000, 3),
                **warnings,
                **outcome,
            }
        self._last = (task.image.sha256, decoded) if task.source is not None else None
        self._keep_preview(task.image, scene.frame)
        return msgspec.json.encode(outcomes), errors[0] if len(errors) == len(calls) else None

    def warm_up(self) -> None:
        """Load the models that are wanted from the start, so that the first task need not wait for them."""
        card = np.full((_CARD_SIDE_PX, _CARD_SIDE_PX, 3), 255, np.uint8)
        # A word to read: of text that is not there, only the search is loaded.
        cv2.putText(card, "PiVision", (100, 320), cv2.FONT_HERSHEY_SIMPLEX, 3, (0, 0, 0), 6)
        scene = Scene(card, lambda: None, {}, lambda _: "")
        for name in self._settings.operations_at_start:
            call = OperationCall(name, OPERATIONS[name].params())
            try:
                self._vision.run(call, scene, self._model_for(call))
            except PiVisionError as error:
                self._log.warning("%s is not ready: %s", name, error)

    def try_models(self) -> None:
        """Try every model that nobody has tried with this OpenCV, and tell the server."""
        gone = {*_verdicts(abilities.published(self._settings.run_dir)), *self._abilities.models}
        for model in self._models.known():
            with contextlib.suppress(ModelMissing, ModelUnusable, StorageUnavailable):
                installed = self._models.require(model)
                gone.discard(installed.identity)
                self._try(installed)
        self._tell({}, gone)

    def rest(self) -> None:
        """There is nothing to do for a while: let go of what was kept for the next picture."""
        self._last = None

    def _model_for(self, call: OperationCall) -> Installed | None:
        model = abilities.require(call, self._models, self._abilities)
        if model is not None and model.identity not in self._abilities.models:
            self._try(model)
            model = abilities.require(call, self._models, self._abilities)
        return model

    def _try(self, installed: Installed) -> None:
        """Try one model, unless it was, and tell at once: whatever ends this worker meanwhile, the next one knows.

        A task waits for the model that it needs and for no other: its deadline would not wait for all of them.
        """
        with self._trying[installed.identity]:
            if installed.identity in self._abilities.models:
                return
            tried = trial.tried(self._settings.models_dir, [installed.model.name], TRIAL_SECONDS)
            if fault := tried.get(installed.identity):
                self._log.error("model %s cannot be used: %s", installed.model.name, fault)
            self._tell(tried)

    def _keep_preview(self, image: Image, picture: Frame) -> None:
        """For whoever looks at many pictures at once, perhaps over a slow network. Small ones are their own preview."""
        if image.size_bytes < _PREVIEW_FROM_BYTES or self._images.preview(image.sha256):
            return
        with contextlib.suppress(OperationFailed, OutOfMemory):
            self._images.keep_preview(image.sha256, frame.preview(picture))

    def _decoded(self, task: Task) -> Decoded:
        if self._last is not None and self._last[0] == task.image.sha256:
            return self._last[1]
        data = self._images.read(task.image.sha256)
        described = picture.inspect(data)
        picture.require_decodable_within(described, self._settings.task_deadline_seconds)
        decoded = frame.decode_with_warnings(data, described.orientation)
        return decoded._replace(warnings=described.warnings + decoded.warnings)

    def _previous(self, task: Task) -> Frame | None:
        """The picture before from the same source, unless it is gone: then there is nothing to compare with."""
        before = self._store.previous(task)
        with contextlib.suppress(ImageLost, *_DAMAGED):
            return None if before is None else self._decoded(before).frame
        return None

    def _tell(self, tried: dict[str, str | None], gone: Collection[str] = ()) -> None:
        """Together with what other workers have told meanwhile."""
        with self._telling:
            before = _verdicts(abilities.published(self._settings.run_dir))
            known = {**before, **self._abilities.models, **tried}
            models = {identity: fault for identity, fault in known.items() if identity not in gone}
            self._abilities = msgspec.structs.replace(self._abilities, models=models)
            if models != before:
                self._publish(self._abilities)

    def _publish(self, told: Abilities) -> Abilities:
        abilities.publish(self._settings.run_dir, told)
        return told


def _abilities(before: Abilities | None) -> Abilities:
    """What this OpenCV has. What an earlier worker could load with it counts; what it could not is tried once more."""
    return Abilities(
        opencv=cv2.__version__,
        stand_ins=opencv.stand_ins(),
        text=text.is_installed(),
        models={identity: None for identity, fault in _verdicts(before).items() if fault is None},
    )


def _verdicts(told: Abilities | None) -> dict[str, str | None]:
    """What was told of models, if it was with this OpenCV."""
    return told.models if told is not None and told.opencv == cv2.__version__ else {}


def task_error(error: PiVisionError) -> TaskError:
    """An error as a task keeps it."""
    return TaskError(error.code, str(error))
