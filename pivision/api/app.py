"""The WSGI application: every address and what answers it."""

from collections.abc import Callable

import falcon

from pivision.api import problems, tasks
from pivision.api.auth import TokenGuard
from pivision.api.headers import SafeHeaders
from pivision.api.operations import Operations
from pivision.api.pages import Page
from pivision.api.system import Alive, NotReady, Opening, Ready, System
from pivision.api.uploads import Uploads
from pivision.api.waiting import Waiting
from pivision.config import Settings
from pivision.errors import PiVisionError
from pivision.images import Images
from pivision.store import Store

_MULTIPART_PARTS_LIMIT = 16

App = falcon.App[falcon.Request, falcon.Response]


def create_app(
    settings: Settings, store: Store, images: Images, waiting: Waiting, ring_workers: Callable[[], None]
) -> App:
    """Put the addresses together. `ring_workers` is called when there is a new task in the queue."""
    app = _create(settings)
    app.router_options.converters["id"] = tasks.TaskId
    form_options = app.req_options.media_handlers[falcon.MEDIA_MULTIPART].parse_options  # type: ignore[attr-defined]
    form_options.max_body_part_count = _MULTIPART_PARTS_LIMIT

    uploads = Uploads(images, settings.max_upload_bytes, settings.max_image_pixels)
    app.add_route("/readyz", Ready(settings, store, images))
    app.add_route("/v1/tasks", tasks.Tasks(store, images, uploads, waiting, settings.max_wait_seconds, ring_workers))
    app.add_route("/v1/tasks/{task_id:id}", tasks.OneTask(store))
    app.add_route("/v1/tasks/{task_id:id}/retry", tasks.Retry(store, ring_workers))
    app.add_route("/v1/tasks/{task_id:id}/image", tasks.TaskImage(store, images))
    app.add_route("/v1/operations", Operations())
    app.add_route("/v1/system", System(settings, store, images))
    return app


def create_opening_app(settings: Settings, obstacle: Callable[[], PiVisionError]) -> App:
    """What is served while the database is not open: alive, not ready, and what stands in the way."""
    app = _create(settings)
    app.add_route("/readyz", NotReady(obstacle))
    app.add_sink(Opening(obstacle), "/v1")
    return app


def _create(settings: Settings) -> App:
    guard = [TokenGuard(settings.secrets_dir)] if settings.auth == "token" else []
    app: App = falcon.App(middleware=[SafeHeaders(), *guard])
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.auto_parse_form_urlencoded = False
    app.resp_options.default_media_type = falcon.MEDIA_JSON
    problems.install(app)
    app.add_route("/", Page())
    app.add_route("/healthz", Alive())
    return app
