"""/v1/vision: the addresses of DeepStack and CodeProject.AI, for the cameras and homes that know these.

The same pictures, tasks and workers as behind /v1/tasks; but the tasks are live ones: somebody waits, so they go first,
and are forgotten soon after.
"""

import contextlib
import time
from collections.abc import Callable

import falcon
import msgspec

from pivision import suggestion
from pivision.api import deepstack_form, endpoint, problems, queries
from pivision.api.auth import Access
from pivision.api.endpoint import Content, Parameter
from pivision.api.intake import ERRORS as INTAKE_ERRORS
from pivision.api.intake import Intake
from pivision.api.uploads import Uploads
from pivision.api.waiting import Waiting
from pivision.errors import (
    DeadlineExceeded,
    ImageEmpty,
    ImageLost,
    ImageUndecodable,
    NotFound,
    OperationFailed,
    OutOfMemory,
    StorageFull,
    TaskNotFound,
    TaskStateConflict,
    TooManyWaiting,
    UnknownOperation,
    WorkerDied,
)
from pivision.models import Models
from pivision.operations import OperationCall
from pivision.operations.faces import FacesParams
from pivision.operations.objects import ModelName, ObjectsParams
from pivision.store import Store
from pivision.task import State

WAIT_SECONDS = 20.0
"""The longest that a client is kept waiting; most give up before."""

_FIELDS = ("api_key", "min_confidence")
_FORM = (falcon.MEDIA_MULTIPART,)

_ERRORS = (
    *INTAKE_ERRORS,
    TooManyWaiting,
    ImageLost,
    ImageUndecodable,
    OutOfMemory,
    OperationFailed,
    WorkerDied,
    DeadlineExceeded,
    UnknownOperation,
)
_LOOKS = endpoint.described(
    {200: deepstack_form.Found}, errors=_ERRORS, body=(Content(_FORM, deepstack_form.Question),)
)
_NAME = Parameter("name", ModelName, "A model's name; /v1/vision/custom/list tells them.", "path", "nanodet")


class Looking:
    """Has one operation look at the picture of a request, and waits for it."""

    def __init__(
        self, access: Access, uploads: Uploads, intake: Intake, waiting: Waiting, store: Store, wait_seconds: float
    ) -> None:
        self._access = access
        self._uploads = uploads
        self._intake = intake
        self._waiting = waiting
        self._store = store
        self._wait_seconds = min(WAIT_SECONDS, wait_seconds)

    def look(
        self, req: falcon.Request, command: deepstack_form.Command, call: Callable[[float], OperationCall]
    ) -> bytes:
        """The protocol's answer. `call` makes the operation from the least confidence that was asked for."""
        began = time.monotonic()
        with contextlib.ExitStack() as seat:
            with self._uploads.form(req, _FIELDS) as (image, fields):
                self._access.require(req, fields.one("api_key") or "")
                queries.require_known(req, ())
                wanted = call(deepstack_form.min_score(fields.one("min_confidence") or ""))
                if image is None:
                    raise ImageEmpty("send a multipart form with the picture as its part `image`")
                seat.enter_context(self._waiting.seat())
                task, _ = self._intake.add(image, (wanted,), lane="live")
            stored = time.monotonic()
            result = self._result_of(task.id)
        now = time.monotonic()
        return deepstack_form.answer(result, task.image, command, now - stored, now - began)

    def _result_of(self, task_id: int) -> msgspec.Raw:
        task = self._waiting.until_finished(task_id, self._wait_seconds, self._store.get)
        if task.state is State.DONE and task.result is not None:
            return task.result
        if task.error is not None:
            raise problems.of_task(task.error)
        with contextlib.suppress(TaskStateConflict, TaskNotFound):  # at work, or finished just now
            self._store.cancel(task_id)  # nobody waits for it any more
        raise TooManyWaiting(f"no worker was done with the picture within {self._wait_seconds:g} s")


class Detection:
    """/v1/vision/detection"""

    def __init__(self, looking: Looking) -> None:
        self._looking = looking

    @_LOOKS
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Find objects, with the first model that is installed."""
        resp.data = self._looking.look(
            req, "detect", lambda score: OperationCall("objects", ObjectsParams(min_score=score))
        )


class Face:
    """/v1/vision/face"""

    def __init__(self, looking: Looking) -> None:
        self._looking = looking

    @_LOOKS
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Find faces."""
        resp.data = self._looking.look(
            req, "detect", lambda score: OperationCall("faces", FacesParams(min_score=score))
        )


class Custom:
    """/v1/vision/custom/{name}"""

    def __init__(self, looking: Looking, models: Models) -> None:
        self._looking = looking
        self._models = models

    @endpoint.described(
        {200: deepstack_form.Found},
        errors=(*_ERRORS, NotFound),
        parameters=(_NAME,),
        body=(Content(_FORM, deepstack_form.Question),),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Find objects with the model of this name."""

        def call(score: float) -> OperationCall:
            if name not in (known := _names(self._models)):
                hint = suggestion.for_name(name, known)
                raise NotFound(f"there is no model {name[:64]!r}; there are: {', '.join(known)}{hint}")
            return OperationCall("objects", ObjectsParams(model=name, min_score=score))

        resp.data = self._looking.look(req, "custom", call)


class CustomList:
    """/v1/vision/custom/list"""

    def __init__(self, access: Access, uploads: Uploads, models: Models) -> None:
        self._access = access
        self._uploads = uploads
        self._models = models

    @endpoint.described(
        {200: deepstack_form.CustomModels},
        errors=(StorageFull,),
        body=(Content((*_FORM, falcon.MEDIA_URLENCODED), deepstack_form.Key, is_required=False),),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The models that can be asked for by name: those that are installed."""
        with self._uploads.form(req, _FIELDS) as (_, fields):
            self._access.require(req, fields.one("api_key") or "")
            queries.require_known(req, ())
        resp.data = deepstack_form.models(_names(self._models, installed=True))


def _names(models: Models, *, installed: bool = False) -> list[str]:
    return [
        model.name for model in models.known() if model.operation == "objects" and (not installed or models.has(model))
    ]
