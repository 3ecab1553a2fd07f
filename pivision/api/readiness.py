"""Is it alive, and can it work: /healthz and /readyz, with the database open or not yet."""

from collections.abc import Callable
from typing import Literal

import falcon
import msgspec

from pivision import heartbeat
from pivision.api.endpoint import described
from pivision.config import Settings
from pivision.errors import PiVisionError, StorageUnavailable
from pivision.images import Images
from pivision.store import Store


class Aliveness(msgspec.Struct, frozen=True):
    """That the server answers."""

    status: Literal["ok"] = "ok"


class Readiness(msgspec.Struct, frozen=True):
    """Whether a task can be taken and finished, and each thing that it needs: `ok`, or what is wrong."""

    status: Literal["ready", "not ready"]
    checks: dict[str, str]


class Alive:
    """/healthz: touches nothing that could block, so that it tells of this process and of nothing else."""

    @described({200: Aliveness})
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """200 whenever the server can answer at all."""
        resp.data = msgspec.json.encode(Aliveness())

    on_head = on_get


class Ready:
    """/readyz: can a task be taken and finished."""

    def __init__(self, settings: Settings, store: Store, images: Images) -> None:
        self._settings = settings
        self._store = store
        self._images = images

    @described({200: Readiness, 503: Readiness})
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """200 if all is there that a task needs, else 503; either way with what was found."""
        checks = self.checks()
        is_ready = all(found == "ok" for found in checks.values())
        resp.status = falcon.HTTP_200 if is_ready else falcon.HTTP_503
        resp.data = msgspec.json.encode(Readiness("ready" if is_ready else "not ready", checks))

    on_head = on_get

    def checks(self) -> dict[str, str]:
        """What was found of each: "ok", or what is wrong."""
        return {"database": self._database(), "disk": self._disk(), "worker": self._worker()}

    def _database(self) -> str:
        try:
            self._store.page(1)
        except PiVisionError as error:
            return error.code
        return "ok"

    def _disk(self) -> str:
        try:
            self._images.disk.require_room(0)
        except PiVisionError as error:
            return error.code
        return "ok"

    def _worker(self) -> str:
        beats = (heartbeat.look(self._settings.run_dir, worker) for worker in range(1, self._settings.workers + 1))
        try:
            is_heard = any(beat and beat.is_fresh() for beat in beats)
        except OSError:
            return StorageUnavailable.code
        return "ok" if is_heard else "no worker has given a sign of life lately"


class NotReady:
    """/readyz while the database is not open."""

    def __init__(self, obstacle: Callable[[], PiVisionError]) -> None:
        self._obstacle = obstacle

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """503 with what stands in the way."""
        resp.status = falcon.HTTP_503
        resp.data = msgspec.json.encode(Readiness("not ready", {"database": self._obstacle().code}))

    on_head = on_get


class Opening:
    """Everything under /v1 while the database is not open."""

    def __init__(self, obstacle: Callable[[], PiVisionError]) -> None:
        self._obstacle = obstacle

    def __call__(self, req: falcon.Request, resp: falcon.Response, **_: object) -> None:
        """Say what stands in the way."""
        raise self._obstacle().with_traceback(None)  # raised again and again
