"""/v1/tasks/ID/image, /preview and /annotated: a task's picture, a small one, and what was drawn on it."""

import os
from typing import NamedTuple

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


class _File(NamedTuple):
    """A picture on the disk."""

    sha256: str
    format: str  # a key of _MEDIA_TYPES
    lost: str  # what to say when it is not there


class _Picture:
    """One of a task's pictures."""

    def __init__(self, store: Store, images: Images) -> None:
        self._store = store
        self._images = images

    def _send(self, req: falcon.Request, resp: falcon.Response, picture: _File) -> None:
        """Send a file, or 304 if the client has it already. Raises ImageLost, StorageUnavailable.

        As long as the file is, whatever the task says of it: what is declared must be what is sent.
        """
        if is_unchanged(req, resp, picture.sha256):
            return
        try:
            image = self._images.open(picture.sha256)
        except ImageLost:
            raise ImageLost(picture.lost) from None
        resp.stream, resp.content_length = image, os.fstat(image.fileno()).st_size
        resp.content_type = _MEDIA_TYPES[picture.format]


class TaskImage(_Picture):
    """/v1/tasks/{task_id}/image"""

    @described(
        {200: Content(PICTURES), 304: UNCHANGED}, errors=(NotFound, TaskNotFound, ImageLost), parameters=(TASK_ID,)
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: int) -> None:
        """The picture as it was sent."""
        self._send(req, resp, _as_sent(self._store.get(task_id)))

    on_head = on_get


class TaskPreview(_Picture):
    """/v1/tasks/{task_id}/preview"""

    @described(
        {200: Content(PICTURES), 304: UNCHANGED}, errors=(NotFound, TaskNotFound, ImageLost), parameters=(TASK_ID,)
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: int) -> None:
        """The picture upright, with a longer side of 640 pixels; as it was sent while there is no such one."""
        task = self._store.get(task_id)
        preview = self._images.preview(task.image.sha256)
        if preview is None:
            self._send(req, resp, _as_sent(task))
        elif not is_unchanged(req, resp, f"{task.image.sha256}-preview"):
            resp.data = preview
            resp.content_type = _MEDIA_TYPES["jpeg"]

    on_head = on_get


class TaskDrawing(_Picture):
    """/v1/tasks/{task_id}/annotated"""

    @described(
        {200: Content(("image/jpeg",)), 304: UNCHANGED},
        errors=(NotFound, TaskNotFound, ImageLost),
        parameters=(TASK_ID,),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: int) -> None:
        """The picture with what was found drawn on it."""
        drawing = _drawing(self._store.get(task_id))
        lost = f"the drawing of task {task_id} is gone"
        self._send(req, resp, _File(drawing.sha256, "jpeg", lost))

    on_head = on_get


def _as_sent(task: Task) -> _File:
    image = task.image
    return _File(image.sha256, image.format, f"the image of task {task.id} is gone")


class _Outcome(msgspec.Struct):
    """What the operation annotate has said: AnnotateResult, or why there is none."""

    sha256: str = ""
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
