"""/metrics: what Prometheus asks for. docs/metrics.md has a table of all of it.

Counters and histograms count since the server was started, as Prometheus expects; what the box has now is read when it
asks. The labels are bounded: templates and not addresses, known operations and methods only.
"""

import contextlib
import re
import time

import falcon
import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import choose_encoder

from pivision.api.box_metrics import BoxMetrics
from pivision.api.endpoint import ERRORS_OF_V1, Content, described
from pivision.api.ends import Ends
from pivision.api.readiness import Ready
from pivision.config import Settings
from pivision.errors import PiVisionError
from pivision.images import Images
from pivision.store import Store

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_FORMATS = ("text/plain", "application/openmetrics-text")
_OTHER = "other"
_CONVERTER = re.compile(r":\w+(?=\})")  # `{task_id:id}` is `{task_id}` to people
_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # twice the lines, of wall-clock times


def new_registry() -> CollectorRegistry:
    """What one application counts with, apart from that of any other."""
    return CollectorRegistry()


class RequestMeter:
    """Middleware: counts and times every request that Falcon answers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "pivision_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "pivision_http_request_seconds",
            "From the request to the answer's first byte.",
            ["route"],
            registry=registry,
            buckets=_BUCKETS_SECONDS,
        )

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Note when it came."""
        req.context.began = time.monotonic()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Count it."""
        route = _CONVERTER.sub("", req.uri_template or _OTHER)  # no template: refused before it was routed, or no route
        method = req.method if req.method in _METHODS else _OTHER
        self._requests.labels(method, route, str(resp.status_code)).inc()
        self._seconds.labels(route).observe(time.monotonic() - req.context.began)


class Metrics:
    """/metrics"""

    def __init__(
        self, registry: CollectorRegistry, settings: Settings, store: Store, images: Images, ready: Ready
    ) -> None:
        self._registry = registry
        self._ends = Ends(store, registry, _BUCKETS_SECONDS)
        registry.register(BoxMetrics(settings, store, images, ready))

    @described({200: Content(_FORMATS, str)}, errors=ERRORS_OF_V1)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Everything, in whichever of Prometheus' formats the request accepts."""
        with contextlib.suppress(PiVisionError):  # a database that does not answer hides nothing else
            self._ends.count()
        encode, resp.content_type = choose_encoder(req.get_header("Accept") or "")
        resp.data = encode(self._registry)

    on_head = on_get
