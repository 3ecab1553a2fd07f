"""/v1/tasks/ID/image, /preview and /annotated: a task's picture, a small one, and what was drawn on it."""

import falcon
import msgspec

from pivision.api.endpoint import PICTURES, UNCHANGED, Content, described
from pivision.api.headers import is_unchanged
from pivision.api.tasks import TASK_ID
from pivision.errors import ImageLost, NotFound, TaskNotFound
from pivision.images import Images
from pivision.store import Store
from pivision.task import FINISHED, Task, TaskError

_MEDIA_TYPES = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "bmp": "image/bmp"}


class TaskImage:
    """/v1/tasks/{task_id}/image"""

    def __init__(self, store: Store, images: Images) -> None:
        self._store = store
        self._images = images

    @described(
        {200: Content(PICTURES), 304: UNCHANGED}, errors=(NotFound, TaskNotFound, ImageLost), parameters=(TASK_ID,)
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: int) -> None:
        """The picture as it was sent."""
        _send_image(req, resp, self._images, self._store.get(task_id))

    on_head = on_get


class TaskPreview:
    """/v1/tasks/{task_id}/preview"""

    def __init__(self, store: Store, images: Images) -> None:
        self._store = store
        self._images = images

    @described(
        {200: Content(PICTURES), 304: UNCHANGED}, errors=(NotFound, TaskNotFound, ImageLost), parameters=(TASK_ID,)
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: int) -> None:
        """The picture upright, with a longer side of 640 pixels; as it was sent while there is no such one."""
        task = self._store.get(task_id)
        preview = self._images.preview(task.image.sha256)
        if preview is None:
            _send_image(req, resp, self._images, task)
        elif not is_unchanged(req, resp, f"{task.image.sha256}-preview"):
            resp.data = preview
            resp.content_type = _MEDIA_TYPES["jpeg"]

    on_head = on_get


class TaskDrawing:
    """/v1/tasks/{task_id}/annotated"""

    def __init__(self, store: Store, images: Images) -> None:
        self._store = store
        self._images = images

    @described(
        {200: Content(("image/jpeg",)), 304: UNCHANGED},
        errors=(NotFound, TaskNotFound, ImageLost),
        parameters=(TASK_ID,),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: int) -> None:
        """The picture with what was found drawn on it."""
        drawing = _drawing(self._store.get(task_id))
        if is_unchanged(req, resp, drawing.sha256):
            return
        _send(resp, self._images, drawing.sha256, f"the drawing of task {task_id} is gone")
        resp.content_length = drawing.size_bytes
        resp.content_type = _MEDIA_TYPES["jpeg"]

    on_head = on_get


class _Outcome(msgspec.Struct):
    """What the operation annotate has said: AnnotateResult, or why there is none."""

    sha256: str = ""
    size_bytes: int = 0
    error: TaskError | None = None


class _Result(msgspec.Struct):
    annotate: _Outcome | None = None


def _drawing(task: Task) -> _Outcome:
    """The drawing of a task. Raises NotFound."""
    outcome = msgspec.json.decode(task.result, type=_Result).annotate if task.result is not None else None
    if outcome is not None and outcome.sha256:
        return outcome
    if outcome is not None and outcome.error is not None:
        raise NotFound(f"task {task.id} has no drawing: {outcome.error.detail} [{outcome.error.code}]")
    if task.state not in FINISHED:
        raise NotFound(f"task {task.id} has no drawing yet: it is {task.state}")
    raise NotFound(f"task {task.id} has no drawing: add the operation annotate when you make one")


def _send_image(req: falcon.Request, resp: falcon.Response, images: Images, task: Task) -> None:
    image = task.image
    if is_unchanged(req, resp, image.sha256):
        return
    _send(resp, images, image.sha256, f"the image of task {task.id} is gone")
    resp.content_length = image.size_bytes
    resp.content_type = _MEDIA_TYPES[image.format]


def _send(resp: falcon.Response, images: Images, sha256: str, lost: str) -> None:
    try:
        resp.stream = images.path(sha256).open("rb")
    except FileNotFoundError:
        raise ImageLost(lost) from None
