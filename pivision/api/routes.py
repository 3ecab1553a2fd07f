"""An application that knows which responder answers what: Falcon's own router keeps that to itself."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import falcon
from falcon.routing import map_http_methods

from pivision.wire.admission import Gatekeeper


class Route(NamedTuple):
    """One method of one address."""

    path: str  # as Falcon writes it: /v1/tasks/{task_id:id}
    method: str
    responder: Callable[..., None]


class App(falcon.App[falcon.Request, falcon.Response]):
    """Falcon's application, which remembers what was added, and has something that decides on heads."""

    heads: Gatekeeper

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.routes: list[Route] = []

    def responder_of(self, req: falcon.Request) -> Callable[..., None]:
        """What would answer this request; for an unknown address or method, what would refuse it."""
        responder, _, _, _ = self._get_responder(req)
        return cast(Callable[..., None], responder)

    def add_route(self, uri_template: str, resource: object, **options: Any) -> None:
        """Let `resource` answer at this address."""
        super().add_route(uri_template, resource, **options)
        responders = map_http_methods(resource, suffix=options.get("suffix"))
        self.routes += [
            Route(uri_template, method, cast(Callable[..., None], responder))
            for method, responder in responders.items()
        ]
