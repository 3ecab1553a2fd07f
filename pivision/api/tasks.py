"""/v1/tasks: make tasks, read, cancel and retry them."""

import re
from collections.abc import Callable
from typing import Annotated, Any

import falcon
import msgspec
from falcon.routing import BaseConverter
from msgspec import Meta

from pivision import operations, suggestion
from pivision.api import mime
from pivision.api.endpoint import JSON, PICTURES, Answer, Bytes, Content, Parameter, described
from pivision.api.feed import Feed
from pivision.api.intake import ERRORS as INTAKE_ERRORS
from pivision.api.intake import IDEMPOTENCY_KEY_LIMIT_CHARACTERS, SOURCE_LIMIT_CHARACTERS, Intake
from pivision.api.uploads import Uploads
from pivision.api.waiting import Waiting
from pivision.errors import (
    IdempotencyKeyReused,
    InvalidJson,
    InvalidRequest,
    NotFound,
    TaskNotFound,
    TaskStateConflict,
    TooManyWaiting,
    UnknownOperation,
)
from pivision.images import Images
from pivision.store import Store
from pivision.task import State, Task

_PAGE_DEFAULT, _PAGE_LIMIT = 50, 200
_ID = re.compile("[1-9][0-9]{0,99}")
_CURSOR_LIMIT = 1 << 62
_FIELDS = ("operations", "source")

TASK_ID = Parameter("task_id", Annotated[int, Meta(ge=1)], "The task's id.", "path", 17)

_Operations = Annotated[
    str, Meta(min_length=1, description="Names with commas, or JSON: a list of names, or of names and parameters.")
]
_OperationName = Annotated[str, Meta(extra_json_schema={"enum": list(operations.OPERATIONS)})]
_Source = Annotated[
    str, Meta(min_length=1, max_length=SOURCE_LIMIT_CHARACTERS, description="Where the picture came from.")
]


class _Call(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """An operation with its parameters."""

    name: str
    params: dict[str, Any] = {}


class TaskForm(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A picture and what is to be done with it."""

    image: Bytes
    operations: _Operations | msgspec.UnsetType = msgspec.UNSET
    source: _Source | msgspec.UnsetType = msgspec.UNSET


class TaskJson(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """The same as JSON, for clients that can send nothing else: a third more to send than a form."""

    image: Annotated[
        str,
        Meta(
            description="The picture in base64, or as a data: URL of such; decoded, it has max_upload_bytes at most.",
            extra_json_schema={"contentEncoding": "base64"},
        ),
    ]
    operations: _Operations | list[str | _Call] | msgspec.UnsetType = msgspec.UNSET
    source: _Source | msgspec.UnsetType = msgspec.UNSET


class TaskPage(msgspec.Struct, frozen=True):
    """Some tasks, the newest first."""

    tasks: list[Task]
    next: str | None  # the cursor of the page behind; null on the last


class TaskId(BaseConverter):
    """A task's id in an address: a whole number from 1 and nothing else that Python would take for one."""

    def convert(self, value: str) -> int | None:
        """The id; None if it is none."""
        return int(value) if _ID.fullmatch(value) else None


class Tasks:
    """/v1/tasks"""

    def __init__(
        self, store: Store, uploads: Uploads, intake: Intake, waiting: Waiting, max_wait_seconds: float
    ) -> None:
        self._store = store
        self._uploads = uploads
        self._intake = intake
        self._waiting = waiting
        self._max_wait_seconds = max_wait_seconds

    @described(
        {
            201: Answer(
                Task,
                "The task: it and its picture are on the disk.",
                {"Location": "The task's address.", "Idempotent-Replayed": "`true` if it was there already."},
            )
        },
        errors=(*INTAKE_ERRORS, InvalidJson, UnknownOperation, IdempotencyKeyReused, TooManyWaiting),
        parameters=(
            Parameter(
                "operations", _Operations, "Besides those of the body.", example="codes,quality", may_repeat=True
            ),
            Parameter("source", _Source, "Instead of the body's.", example="door"),
            Parameter("wait", Annotated[float, Meta(ge=0)], "Seconds to wait for the task to finish; bounded."),
            Parameter(
                "Idempotency-Key",
                Annotated[str, Meta(min_length=1, max_length=IDEMPOTENCY_KEY_LIMIT_CHARACTERS)],
                "The same key with the same request answers with the first task.",
                "header",
            ),
        ),
        body=(Content((falcon.MEDIA_MULTIPART,), TaskForm), Content((JSON,), TaskJson), Content(PICTURES)),
        note=(
            "The picture comes in a form, in JSON, or as the body itself with `operations` and `source` in the query. "
            "Every `operations` counts, in the query and in the body, however often it is sent."
        ),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Make a task of the picture and its operations; with `?wait=SECONDS`, answer when it has finished."""
        wait_seconds = req.get_param_as_float("wait", default=0.0)
        if not 0 <= wait_seconds <= self._max_wait_seconds:  # nor is it a number that is none
            longest = f"{self._max_wait_seconds:g} (max_wait_seconds)"
            raise InvalidRequest(f"`wait` must be a number of seconds from 0 to {longest}, not {wait_seconds:g}")
        if not wait_seconds:
            task = self._create(req, resp)
        else:
            with self._waiting.seat():
                task = self._create(req, resp)
                task = self._waiting.until_finished(task.id, wait_seconds, self._store.get)
        resp.status = falcon.HTTP_201
        resp.location = f"/v1/tasks/{task.id}"
        resp.data = msgspec.json.encode(task)

    def _create(self, req: falcon.Request, resp: falcon.Response) -> Task:
        with self._uploads.receive(req, _FIELDS) as (image, fields):
            task, is_new = self._intake.add(
                image,
                operations.parse(*fields.all("operations")),
                source=fields.one("source"),
                idempotency_key=_header_text(req, "Idempotency-Key"),
            )
        if not is_new:
            resp.set_header("Idempotent-Replayed", "true")
        return task

    @described(
        {200: TaskPage},
        parameters=(
            Parameter("limit", Annotated[int, Meta(ge=1, le=_PAGE_LIMIT)], f"How many; {_PAGE_DEFAULT} at first."),
            Parameter("cursor", Annotated[int, Meta(ge=1, le=_CURSOR_LIMIT)], "The `next` of the page before."),
            Parameter("state", State, "Only tasks in this state."),
            Parameter("operation", _OperationName, "Only tasks with this operation."),
            Parameter("source", str, "Only tasks whose picture came from there."),
        ),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The newest tasks, a page at a time; `next` is the cursor of the page behind, null on the last."""
        limit = req.get_param_as_int("limit", min_value=1, max_value=_PAGE_LIMIT, default=_PAGE_DEFAULT)
        before = req.get_param_as_int("cursor", min_value=1, max_value=_CURSOR_LIMIT)
        tasks = self._store.page(
            limit + 1,  # one more tells of another page
            before,
            state=_state(req.get_param("state")),
            operation=_operation(req.get_param("operation")),
            source=req.get_param("source"),
        )
        page = tasks[:limit]
        resp.data = msgspec.json.encode(TaskPage(page, str(page[-1].id) if len(tasks) > limit else None))

    on_head = on_get


class OneTask:
    """/v1/tasks/{task_id}"""

    def __init__(self, store: Store, images: Images, feed: Feed) -> None:
        self._store = store
        self._images = images
        self._feed = feed

    @described({200: Task}, errors=(NotFound, TaskNotFound), parameters=(TASK_ID,))
    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: int) -> None:
        """The task as it is now."""
        resp.data = msgspec.json.encode(self._store.get(task_id))

    on_head = on_get

    @described(
        {200: Answer(Task, "Cancelled: the task."), 204: Answer(None, "Removed.")},
        errors=(NotFound, TaskNotFound, TaskStateConflict),
        parameters=(TASK_ID, Parameter("remove", bool, "Remove a finished task and its pictures.")),
    )
    def on_delete(self, req: falcon.Request, resp: falcon.Response, task_id: int) -> None:
        """Cancel a task that still waits; with `?remove=true`, remove a finished one and its pictures."""
        if req.get_param_as_bool("remove"):
            sha256s = self._store.remove(task_id)
            self._images.remove_unreferenced(sha256s, self._store.is_image_referenced)
            self._feed.ring()
            resp.status = falcon.HTTP_204
        else:
            resp.data = msgspec.json.encode(self._store.cancel(task_id))
            self._feed.ring()


class Retry:
    """/v1/tasks/{task_id}/retry"""

    def __init__(self, store: Store, ring_workers: Callable[[], None]) -> None:
        self._store = store
        self._ring_workers = ring_workers

    @described({200: Task}, errors=(NotFound, TaskNotFound, TaskStateConflict), parameters=(TASK_ID,))
    def on_post(self, req: falcon.Request, resp: falcon.Response, task_id: int) -> None:
        """Queue a failed, quarantined or cancelled task again."""
        task = self._store.retry(task_id)
        self._ring_workers()
        resp.data = msgspec.json.encode(task)


def _operation(name: str | None) -> str | None:
    if name is not None and name not in operations.OPERATIONS:
        raise InvalidRequest(operations.no_such(name))
    return name


def _state(text: str | None) -> State | None:
    if text is None:
        return None
    try:
        return State(text)
    except ValueError:
        hint = suggestion.for_name(text, State)
        raise InvalidRequest(f"there is no state {text[:80]!r}; there are: {', '.join(State)}{hint}") from None


def _header_text(req: falcon.Request, name: str) -> str | None:
    """A header's value as the UTF-8 that it must be; WSGI gives each byte as a character."""
    value = req.get_header(name)
    return None if value is None else mime.decoded(f"the header {name}", value.encode("latin-1"))
