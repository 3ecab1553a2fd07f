"""Strict reading of addresses: what an address does not take is refused by name instead of being dropped silently."""

import urllib.parse
from collections.abc import Iterable
from typing import Any

import falcon

from pivision import suggestion
from pivision.api import deepstack_form, endpoint, mime
from pivision.api.endpoint import Parameter
from pivision.errors import InvalidRequest

_SHOWN_CHARACTERS = 80


class QueryCheck:
    """Middleware: refuses paths and queries that are no text, and parameters that nobody reads."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raise InvalidRequest for invalid UTF-8 or a NUL, percent-encoded or not."""
        mime.decoded("the path", _bytes(req.env.get("PATH_INFO", "")))
        query = _bytes(req.query_string)
        mime.decoded("the query", urllib.parse.unquote_to_bytes(query.replace(b"+", b" ")))

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, Any]
    ) -> None:
        """Raise InvalidRequest as `require_known` does, where who asks is known already."""
        described = endpoint.of(getattr(resource, f"on_{req.method.lower()}", None))
        if described is not None and not deepstack_form.is_spoken_at(req.path):
            require_known(req, described.parameters)


def require_known(req: falcon.Request, parameters: Iterable[Parameter]) -> None:
    """Raise InvalidRequest for a query's parameter that is none of these, or may be sent once and was sent twice."""
    known = {parameter.name: parameter for parameter in parameters if parameter.place == "query"}
    for name, values in urllib.parse.parse_qs(req.query_string, keep_blank_values=True).items():
        if name not in known:
            there = f"there are: {', '.join(known)}" if known else "there is none"
            hint = suggestion.for_name(name, known)
            raise InvalidRequest(f"there is no parameter {name[:_SHOWN_CHARACTERS]!r} here; {there}{hint}")
        if len(values) > 1 and not known[name].may_repeat:
            raise InvalidRequest(f"the parameter {name!r} was sent {len(values)} times; send it once")


def _bytes(text: str) -> bytes:
    """The bytes that were sent; WSGI gives each as a character."""
    return text.encode("latin-1", errors="replace")
