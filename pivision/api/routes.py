"""An application that knows which responder answers what: Falcon's own router keeps that to itself."""

import difflib
import re
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import falcon
from falcon.routing import map_http_methods

from pivision.errors import NotFound
from pivision.wire.admission import Gatekeeper

VISION = "/v1/vision"
"""Below it, clients of another protocol look for what they know: they are told all that there is."""

_PARAMETER_TYPE = re.compile(r":\w+}")
_COMPARED_CHARACTERS = 64
_SHOWN_CHARACTERS = 120


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

    def nothing_at(self, path: str) -> NotFound:
        """Return the error for an address that is not there: it names those that are near."""
        paths = list(dict.fromkeys(_PARAMETER_TYPE.sub("}", route.path) for route in self.routes))
        below = [each for each in paths if each.startswith(VISION)] if path.startswith(VISION) else []
        near = below or difflib.get_close_matches(path[:_COMPARED_CHARACTERS].lower(), paths, n=3)
        there = f"there are: {', '.join(near)}" if below else f"did you mean {' or '.join(near)}?"
        return NotFound(f"there is nothing at {path[:_SHOWN_CHARACTERS]!r}" + (f"; {there}" if near else ""))

    def add_route(self, uri_template: str, resource: object, **options: Any) -> None:
        """Let `resource` answer at this address."""
        super().add_route(uri_template, resource, **options)
        responders = map_http_methods(resource, suffix=options.get("suffix"))
        self.routes += [
            Route(uri_template, method, cast(Callable[..., None], responder))
            for method, responder in responders.items()
        ]
