"""/session: a browser shows a token once, and goes on by a cookie that no script can read.

Only a POST by a page of this server, or by a program, begins one. Opening the printed address `/?token=T` does not:
without TLS browsers do not say whether a page of another site has led there, and a redirect looks like an address that
was typed. So it leads to `/#token=T`, which no server is sent; the dashboard takes the token out of the address, and
asks (web/session.js).
"""

import datetime
import math
from typing import Any

import falcon
import msgspec

from pivision import json_names
from pivision.api.auth import Access, require_same_origin
from pivision.api.endpoint import JSON, Answer, Content, described
from pivision.errors import (
    CrossSite,
    InvalidRequest,
    StorageFull,
    StorageUnavailable,
    TooManyAttempts,
    Unauthorized,
)
from pivision.tokens import Scope, Token

_BODY_LIMIT_BYTES = 4096
_LONG_AGO = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)  # by every clock


class SignIn(msgspec.Struct, forbid_unknown_fields=True):
    """The token to begin a session with."""

    token: str


class Identity(msgspec.Struct, frozen=True):
    """The name and the scope of a token; without a name where nobody is asked for one."""

    name: str | None
    scope: Scope


class Session:
    """/session"""

    def __init__(self, access: Access) -> None:
        self._access = access

    @described({200: Identity}, errors=(Unauthorized, TooManyAttempts, StorageUnavailable))
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Who asks: the name and the scope of the token."""
        visitor = self._access.visitor(req)
        resp.data = msgspec.json.encode(Identity(visitor.name, visitor.scope))

    on_head = on_get

    @described(
        {204: Answer(None, headers={"Set-Cookie": "The session's cookie."})},
        errors=(Unauthorized, CrossSite, TooManyAttempts, StorageUnavailable, StorageFull),
        body=(Content((JSON,), SignIn),),
        max_body_bytes=_BODY_LIMIT_BYTES,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Begin a session with a token."""
        if req.get_header("Origin") is not None or req.get_header("Sec-Fetch-Site") is not None:
            require_same_origin(req)  # a browser has sent it; a program sends neither
        if falcon.parse_header(req.content_type or "")[0] != falcon.MEDIA_JSON:  # a form would need no leave of ours
            raise InvalidRequest('send {"token": …} with the content type application/json')
        body = req.bounded_stream.read(_BODY_LIMIT_BYTES + 1)
        try:
            text = msgspec.json.decode(body[:_BODY_LIMIT_BYTES], type=SignIn).token
            json_names.require_unique(body, "the body")
        except (msgspec.DecodeError, UnicodeDecodeError):  # whose message might repeat what was sent
            raise InvalidRequest('the body must be {"token": …}, with nothing else') from None
        resp.status = falcon.HTTP_204
        if self._access.is_open:
            return
        token = self._access.token(req, text)
        if token is None:
            raise Unauthorized("this is no valid token")
        self._begin(token, req, resp)

    @described({204: None}, errors=(CrossSite, StorageUnavailable))
    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        """End the session."""
        if cookie := self._access.cookie(req):
            require_same_origin(req)
            self._access.sessions.remove(cookie)
        _set_cookie(self._access, resp, "", expires=_LONG_AGO)
        resp.status = falcon.HTTP_204

    def _begin(self, token: Token, req: falcon.Request, resp: falcon.Response) -> None:
        """Set the cookie of a session of this token; one of another token that this browser had is ended."""
        sessions, cookie = self._access.sessions, self._access.cookie(req)
        current = sessions.find(cookie)
        if current != token:
            new = sessions.create(token)
            if current is not None:
                sessions.remove(cookie)
            cookie = new
        _set_cookie(self._access, resp, cookie, max_age=math.ceil(sessions.longest_seconds))


def _set_cookie(access: Access, resp: falcon.Response, value: str, **until: Any) -> None:
    resp.set_cookie(
        access.cookie_name,
        value,
        path="/",
        http_only=True,
        same_site="Strict",
        secure=False,  # the box speaks plain HTTP, and such a cookie would not come back
        **until,
    )
