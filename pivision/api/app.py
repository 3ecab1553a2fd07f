"""The WSGI application: every address and what answers it."""

from collections.abc import Callable

import falcon
from msgspec.structs import asdict
from prometheus_client import CollectorRegistry

from pivision.api import deepstack, problems, tasks
from pivision.api.auth import Access, TokenGuard
from pivision.api.events import PATH, Events
from pivision.api.feed import Feed, Reading
from pivision.api.headers import SafeHeaders
from pivision.api.heads import Heads, Refusals
from pivision.api.hosts import HostCheck
from pivision.api.intake import Intake
from pivision.api.last_hour import LastHour
from pivision.api.metrics import Metrics, RequestMeter, new_registry
from pivision.api.openapi import OpenApi
from pivision.api.operations import Operations
from pivision.api.pages import Page, WebFile
from pivision.api.pictures import TaskDrawing, TaskImage, TaskPreview
from pivision.api.queries import QueryCheck
from pivision.api.readiness import Alive, NotReady, Opening, Ready
from pivision.api.reference import Reference, ReferenceStyle
from pivision.api.routes import App
from pivision.api.session import Session
from pivision.api.system import System
from pivision.api.uploads import Uploads
from pivision.api.waiting import Waiting
from pivision.config import Settings
from pivision.errors import PiVisionError
from pivision.images import Images
from pivision.models import Models
from pivision.store import Store


def create_app(
    settings: Settings,
    store: Store,
    images: Images,
    waiting: Waiting,
    feed: Feed,
    hour: LastHour,
    ring_workers: Callable[[], None],
    access: Access | None = None,
) -> App:
    """Put the addresses together. `ring_workers` is called when there is a new task in the queue.

    `access` is that of the application that was served before the database was open, with what it has counted.
    """
    access, registry = access or Access(settings), new_registry()
    app = _create(settings, access, registry)
    app.router_options.converters["id"] = tasks.TaskId

    models = Models(settings.models_dir)
    uploads = Uploads(images, settings.max_upload_bytes)
    intake = Intake(settings, store, images, models, ring_workers)
    ready = Ready(settings, store, images)
    app.add_route("/readyz", ready)
    app.add_route("/metrics", Metrics(registry, settings, store, images, ready))
    app.add_route("/v1/tasks", tasks.Tasks(store, uploads, intake, waiting, settings.max_wait_seconds))
    app.add_route("/v1/tasks/{task_id:id}", tasks.OneTask(store, images, feed))
    app.add_route("/v1/tasks/{task_id:id}/retry", tasks.Retry(store, ring_workers))
    app.add_route("/v1/tasks/{task_id:id}/image", TaskImage(store, images))
    app.add_route("/v1/tasks/{task_id:id}/preview", TaskPreview(store, images))
    app.add_route("/v1/tasks/{task_id:id}/annotated", TaskDrawing(store, images))
    app.add_route("/v1/operations", Operations(models, settings.run_dir))
    system = System(settings, store, images, hour)
    app.add_route("/v1/system", system)
    app.add_route(PATH, Events(access, feed, Reading(feed, store, lambda: asdict(system.look()))))

    looking = deepstack.Looking(access, uploads, intake, waiting, store, settings.max_wait_seconds)
    app.add_route("/v1/vision/detection", deepstack.Detection(looking))
    app.add_route("/v1/vision/face", deepstack.Face(looking))
    app.add_route("/v1/vision/custom/{name}", deepstack.Custom(looking, models))
    app.add_route("/v1/vision/custom/list", deepstack.CustomList(access, uploads, models))

    description = OpenApi(app)
    app.add_route("/openapi.json", description)
    app.add_route("/docs", Reference(description))
    app.add_route("/docs.css", ReferenceStyle())
    return app


def create_opening_app(settings: Settings, obstacle: Callable[[], PiVisionError], access: Access) -> App:
    """What is served while the database is not open: alive, not ready, and what stands in the way."""
    app = _create(settings, access, new_registry())
    app.add_route("/readyz", NotReady(obstacle))
    app.add_sink(Opening(obstacle), "/v1")
    app.add_sink(Opening(obstacle), r"/(metrics|openapi\.json|docs)")
    return app


def _create(settings: Settings, access: Access, registry: CollectorRegistry) -> App:
    hosts, guard = HostCheck(settings.known_hosts), TokenGuard(access)
    app = App(middleware=[RequestMeter(registry), SafeHeaders(), Refusals(), hosts, QueryCheck(), guard])
    app.heads = Heads(app, hosts, guard, access, settings.max_upload_bytes)
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.auto_parse_form_urlencoded = False
    app.resp_options.default_media_type = falcon.MEDIA_JSON
    problems.install(app)
    app.add_route("/", Page())
    app.add_route("/web/{name}", WebFile())
    app.add_route("/healthz", Alive())
    app.add_route("/session", Session(access))
    return app
