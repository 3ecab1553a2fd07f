"""The WSGI application: every address and what answers it."""

from collections.abc import Callable

import falcon

from pivision.api import problems, tasks
from pivision.api.auth import TokenGuard
from pivision.api.operations import Operations
from pivision.api.pages import Page
from pivision.api.system import Alive, Ready, System
from pivision.api.uploads import Uploads
from pivision.api.waiting import Waiting
from pivision.config import Settings
from pivision.images import Images
from pivision.store import Store

_MULTIPART_PARTS_LIMIT = 16

App = falcon.App[falcon.Request, falcon.Response]


class SafeHeaders:
    """Middleware: what every answer says to browsers and caches."""

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Types are as stated, nothing is framed, no referrer carries a token away, nothing is cached."""
        resp.set_header("X-Content-Type-Options", "nosniff")
        resp.set_header("Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-ancestors 'none'")
        resp.set_header("Referrer-Policy", "no-referrer")
        resp.set_header("Cache-Control", "no-store")


def create_app(
    settings: Settings, store: Store, images: Images, waiting: Waiting, ring_workers: Callable[[], None]
) -> App:
    """Put the addresses together. `ring_workers` is called when there is a new task in the queue."""
    guard = [TokenGuard(settings.secrets_dir)] if settings.auth == "token" else []
    app: App = falcon.App(middleware=[SafeHeaders(), *guard])
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.auto_parse_form_urlencoded = False
    problems.install(app)

    form_options = app.req_options.media_handlers[falcon.MEDIA_MULTIPART].parse_options  # type: ignore[attr-defined]
    form_options.max_body_part_count = _MULTIPART_PARTS_LIMIT
    app.resp_options.default_media_type = falcon.MEDIA_JSON

    uploads = Uploads(images, settings.max_upload_bytes, settings.max_image_pixels)
    app.add_route("/", Page())
    app.add_route("/healthz", Alive())
    app.add_route("/readyz", Ready(settings, store, images))
    app.add_route("/v1/tasks", tasks.Tasks(store, uploads, waiting, settings.max_wait_seconds, ring_workers))
    app.add_route("/v1/tasks/{task_id:int(min=1)}", tasks.OneTask(store))
    app.add_route("/v1/tasks/{task_id:int(min=1)}/retry", tasks.Retry(store, ring_workers))
    app.add_route("/v1/tasks/{task_id:int(min=1)}/image", tasks.TaskImage(store, images))
    app.add_route("/v1/operations", Operations())
    app.add_route("/v1/system", System(settings, store, images))
    return app
