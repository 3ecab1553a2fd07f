"""Requests of which only the head has arrived: whether the body is read, and how much of it.

Whatever can be refused by the head is refused before a byte of the body is read: a stranger's upload costs nothing.
"""

import falcon

from pivision.api import endpoint
from pivision.api.auth import Access, TokenGuard
from pivision.api.hosts import HostCheck
from pivision.api.routes import App
from pivision.errors import MediaTypeUnsupported, Unauthorized, UploadTooLarge
from pivision.wire.admission import REFUSAL, Environment, Verdict

FORM_EXTRA_BYTES = 1 << 20
"""What a form may add to the picture in it: its other fields, and their heads."""

_BODY_TYPES = {
    "",
    falcon.MEDIA_MULTIPART,
    falcon.MEDIA_JSON,
    falcon.MEDIA_URLENCODED,  # curl --data-binary says so of a picture
    "text/plain",  # and some sketches for microcontrollers that
    "application/octet-stream",
}


class Heads:
    """Decides on heads, by the same guards and routes that the whole request meets."""

    def __init__(self, app: App, hosts: HostCheck, guard: TokenGuard, access: Access, max_upload_bytes: int) -> None:
        self._app = app
        self._hosts = hosts
        self._guard = guard
        self._access = access
        self._max_upload_bytes = max_upload_bytes

    def judge(self, environment: Environment) -> Verdict:
        """Decide on a head. Raises what the request is to be answered with if its body must not be read."""
        req = falcon.Request(environment, options=self._app.req_options)
        self._hosts.check(req)
        self._guard.check(req)
        described = endpoint.of(self._app.responder_of(req))
        is_admitted = not self._guard.leaves_to_form(req) or self._has_valid_header(req)
        if described is None or not described.body:
            return Verdict(0, is_admitted)
        max_bytes, reason = self._limit(req, described)
        if (req.content_length or 0) > max_bytes:
            raise UploadTooLarge(f"the body has {req.content_length} bytes, more than {max_bytes} ({reason})")
        return Verdict(max_bytes, is_admitted, reason)

    def accept_key(self, environment: Environment, key: str) -> None:
        """Raise what the request is to be answered with unless `key`, found in its form, is a valid token."""
        self._access.require(falcon.Request(environment, options=self._app.req_options), key)

    def _has_valid_header(self, req: falcon.Request) -> bool:
        try:
            self._access.require(req)
        except Unauthorized:
            return False
        return True

    def _limit(self, req: falcon.Request, described: endpoint.Endpoint) -> tuple[int, str]:
        if described.max_body_bytes is not None:
            return described.max_body_bytes, "the most that this address takes"
        _require_media_type(req)
        of_form = f"max_upload_bytes, {self._max_upload_bytes}, and {FORM_EXTRA_BYTES} for the form"
        match _media_type(req):
            case falcon.MEDIA_MULTIPART | falcon.MEDIA_URLENCODED:
                return self._max_upload_bytes + FORM_EXTRA_BYTES, of_form
            case falcon.MEDIA_JSON:
                return self._max_upload_bytes * 4 // 3 + FORM_EXTRA_BYTES, f"{of_form}, in base64"
        return self._max_upload_bytes, "max_upload_bytes"


class Refusals:
    """Middleware: answers what was refused by its head, or while its body arrived."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raise the refusal."""
        if (refusal := req.env.get(REFUSAL)) is not None:
            raise refusal


def _require_media_type(req: falcon.Request) -> None:
    media_type, coding = _media_type(req), req.get_header("Content-Encoding") or "identity"
    if media_type not in _BODY_TYPES and not media_type.startswith("image/"):
        raise MediaTypeUnsupported(f"a body of the type {media_type[:80]!r} is not read")
    if coding.strip().lower() != "identity":
        raise MediaTypeUnsupported(f"a body with the Content-Encoding {coding[:80]!r} is not read")


def _media_type(req: falcon.Request) -> str:
    return (req.content_type or "").partition(";")[0].strip().lower()
