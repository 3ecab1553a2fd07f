"""/session and /?token=: a browser shows a token once, and goes on by a cookie that no script can read."""

import datetime
from typing import Any

import falcon
import msgspec

from pivision import sessions
from pivision.api.auth import Access, require_same_origin
from pivision.api.endpoint import JSON, Answer, Content, described
from pivision.errors import CrossSite, InvalidRequest, TooManyAttempts, Unauthorized
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

    @described({200: Identity}, errors=(Unauthorized, TooManyAttempts))
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Who asks: the name and the scope of the token."""
        visitor = self._access.visitor(req)
        resp.data = msgspec.json.encode(Identity(visitor.name, visitor.scope))

    on_head = on_get

    @described(
        {204: Answer(None, headers={"Set-Cookie": "The session's cookie."})},
        errors=(Unauthorized, TooManyAttempts),
        body=(Content((JSON,), SignIn),),
        max_body_bytes=_BODY_LIMIT_BYTES,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Begin a session with a token."""
        if falcon.parse_header(req.content_type or "")[0] != falcon.MEDIA_JSON:  # a form would need no leave of ours
            raise InvalidRequest('send {"token": …} with the content type application/json')
        body = req.bounded_stream.read(_BODY_LIMIT_BYTES + 1)
        try:
            text = msgspec.json.decode(body[:_BODY_LIMIT_BYTES], type=SignIn).token
        except (msgspec.DecodeError, UnicodeDecodeError):  # whose message might repeat what was sent
            raise InvalidRequest('the body must be {"token": …}') from None
        resp.status = falcon.HTTP_204
        if self._access.is_open:
            return
        token = self._access.token(req, text)
        if token is None:
            raise Unauthorized("this is no valid token")
        _begin(self._access, token, req, resp)

    @described({204: None}, errors=(CrossSite,))
    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        """End the session."""
        if cookie := self._access.cookie(req):
            require_same_origin(req)
            sessions.remove(self._access.secrets_dir, cookie)
        _set_cookie(self._access, resp, "", expires=_LONG_AGO)
        resp.status = falcon.HTTP_204


class SignInByAddress:
    """Middleware: the printed address `/?token=T` begins a session and leads to `/`, where T is not seen."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer in the place of the page. A wrong token leads there, too, which asks for another."""
        if req.path != "/" or req.method != "GET" or not req.has_param("token"):
            return
        text = req.get_param("token") or ""
        if text and not self._access.is_open and (token := self._access.token(req, text)):
            _begin(self._access, token, req, resp)
        resp.status = falcon.HTTP_303
        resp.set_header("Location", "/")
        resp.complete = True


def _begin(access: Access, token: Token, req: falcon.Request, resp: falcon.Response) -> None:
    current = access.cookie(req)
    if sessions.find(access.secrets_dir, current) != token:  # who comes by the same address again has one
        current = sessions.create(access.secrets_dir, token)
    _set_cookie(access, resp, current, max_age=sessions.LIFETIME_SECONDS)


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
