"""The guard before supervisord's web page: what a page of another site makes the owner's browser send is refused.

supervisord's page acts on GET and knows the owner by a password that browsers send by themselves: any link would stop a
program. Here a change needs a POST, and the browser must say that the page itself has sent it.
"""

import socket
import urllib.parse
from collections.abc import Iterable
from typing import Any

_LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
"""The page listens on this machine only, and a tunnel's end is that of another machine. Any other name was made to lead
here by somebody else (DNS rebinding)."""

_HARMLESS_ACTIONS = ("", "refresh")
_RPC = "/RPC2"
_HEADERS = {
    "X-Frame-Options": "DENY",  # no page may lay its own picture over the buttons
    "Content-Security-Policy": "frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers would hide the origin of the page's own buttons
    "X-Content-Type-Options": "nosniff",
}


def guard(servers: Iterable[tuple[dict[str, Any], Any]]) -> None:
    """Put the guard before every handler of the web servers that browsers reach: all but that of the Unix socket."""
    for config, server in servers:
        if config["family"] != socket.AF_UNIX:
            server.handlers = [Guarded(handler) for handler in server.handlers]


class Guarded:
    """One of supervisord's handlers behind the guard."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler
        self.match = handler.match

    def handle_request(self, request: Any) -> None:
        """Hand the request on, or refuse it and close the connection: its body must not be read as the next request."""
        for name, value in _HEADERS.items():
            request[name] = value
        if (reason := refusal(request)) is None:
            self._handler.handle_request(request)
            return
        request.channel.set_terminator(None)
        request["Connection"] = "close"
        request.responses = {**request.responses, 403: reason}
        request.error(403)
        request.channel.close_when_done()


def refusal(request: Any) -> str | None:
    """Return why the request is refused; None if it may pass."""
    host = (request.get_header("Host") or "").strip().lower()
    if _without_port(host) not in _LOCAL_NAMES:
        return f"this page is spoken to as {' or '.join(_LOCAL_NAMES)} only"
    if request.command == "POST":
        return None if _is_of_this_page(request, host) else "a change must come from this page itself"
    _, _, query, _ = request.split_uri()
    actions = urllib.parse.parse_qs((query or "").removeprefix("?")).get("action", [])
    if any(action not in _HARMLESS_ACTIONS for action in actions):
        return "a link changes nothing: use the buttons of this page"
    return None


def _is_of_this_page(request: Any, host: str) -> bool:
    origin, site = request.get_header("Origin"), request.get_header("Sec-Fetch-Site")
    if origin is not None:
        return origin.strip().lower() in (f"http://{host}", f"https://{host}")
    if site is not None:
        return bool(site.strip() == "same-origin")
    # No browser of today: each says one of the two. Without either, only a program may call, whose content type no form
    # can have.
    content_type = (request.get_header("Content-Type") or "").partition(";")[0].strip().lower()
    return bool(request.uri.partition("?")[0].startswith(_RPC) and content_type == "text/xml")


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() else host
