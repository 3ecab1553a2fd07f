"""Who may use /v1: whoever sends a valid token, or the cookie of a session, as far as the token's scope goes."""

from typing import NamedTuple

import falcon

from pivision import tokens
from pivision.api import deepstack_form
from pivision.api.slowing import Slowing
from pivision.config import Settings
from pivision.errors import CrossSite, Forbidden, Unauthorized
from pivision.sessions import SECONDS_PER_DAY, Sessions
from pivision.tokens import Scope, Token
from pivision.wire.admission import ADMITTED, RECOGNIZE

_PROTECTED = ("v1", "metrics")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Visitor(NamedTuple):
    """Who asks: the name of the token, what it may, and whether a browser may have sent this for another site."""

    name: str | None
    scope: Scope
    may_be_foreign: bool = False


class Access:
    """Looks at tokens and cookies; with the setting auth = "none", everybody may everything."""

    def __init__(self, settings: Settings) -> None:
        self.secrets_dir = settings.secrets_dir
        self.is_open = settings.auth == "none"
        self.cookie_name = f"pivision_session_{settings.port}"  # browsers keep no cookies apart by port
        self.sessions = Sessions(
            settings.secrets_dir,
            idle_seconds=settings.session_idle_days * SECONDS_PER_DAY,
            longest_seconds=settings.session_days * SECONDS_PER_DAY,
        )
        self._slowing = Slowing(file=settings.secrets_dir / "known-addresses")

    def require(self, req: falcon.Request, key: str = "") -> None:
        """Let pass who may make this request by its bearer token, by `key`, or by the cookie.

        Raises Unauthorized, Forbidden, CrossSite or TooManyAttempts.
        """
        visitor, needed = self.visitor(req, key), _scope_of(req)
        req.env.get(RECOGNIZE, _nothing)()
        if visitor.may_be_foreign and req.method not in _SAFE_METHODS:
            require_same_origin(req)
        if not visitor.scope.covers(needed):
            has = f"the token {visitor.name!r} has {visitor.scope.value!r}"
            raise Forbidden(f"this needs the scope {needed.value!r}; {has}")

    def visitor(self, req: falcon.Request, key: str = "") -> Visitor:
        """Who asks. A cookie counts where no token is sent. Raises Unauthorized or TooManyAttempts."""
        if self.is_open:
            return Visitor(None, Scope.ADMIN, may_be_foreign=req.get_header("Origin") is not None)
        scheme, _, sent = (req.auth or "").partition(" ")
        bearer = sent.strip() if scheme.lower() == "bearer" else ""
        given = [text for text in (key, bearer) if text]
        for text in given:
            if token := self.token(req, text):
                return Visitor(token.name, token.scope)
        if not given and (token := self.sessions.find(self.cookie(req))):
            return Visitor(token.name, token.scope, may_be_foreign=True)
        raise Unauthorized("this address needs a valid token")

    def token(self, req: falcon.Request, text: str) -> Token | None:
        """The token that `text` is, if it is one. Raises TooManyAttempts instead of looking."""
        address, digest = req.remote_addr, tokens.digest(text)
        self._slowing.check(address, digest)
        token = tokens.find(self.secrets_dir, text)
        (self._slowing.right if token else self._slowing.wrong)(address, digest)
        return token

    def cookie(self, req: falcon.Request) -> str:
        """What the session's cookie holds; empty without one."""
        return (req.get_cookie_values(self.cookie_name) or [""])[0]


class TokenGuard:
    """Middleware: asks for the bearer token before anything under /v1 is looked at, whether it exists or not.

    But for the addresses of DeepStack's protocol: there the token may be a field of the form, and so the resources ask
    for it themselves, when they have read that.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raise what `check` raises, unless the head has passed it already."""
        if not req.env.get(ADMITTED):
            self.check(req)

    def check(self, req: falcon.Request) -> None:
        """Raise Unauthorized, or what else stands in the way, unless the request may pass."""
        if req.path.lstrip("/").partition("/")[0] not in _PROTECTED:  # as the router reads it, which strips slashes
            return
        if not self.leaves_to_form(req):
            self._access.require(req)

    def leaves_to_form(self, req: falcon.Request) -> bool:
        """Whether the token may be a field of the form, which the resource reads."""
        return req.method == "POST" and deepstack_form.is_spoken_at(req.path)


def require_same_origin(req: falcon.Request) -> None:
    """Raise CrossSite unless the browser says that a page of ours has sent the request.

    Browsers say both in headers that no page can set; Sec-Fetch-Site only where TLS is, or on localhost.
    """
    host = (req.get_header("Host") or "").lower()
    ours = (f"http://{host}", f"https://{host}")
    if (req.get_header("Origin") or "").lower() not in ours and req.get_header("Sec-Fetch-Site") != "same-origin":
        raise CrossSite("neither Origin nor Sec-Fetch-Site says that a page of this server has sent it")


def _nothing() -> None:
    pass


def _scope_of(req: falcon.Request) -> Scope:
    """What a token needs for this request."""
    if req.method in _SAFE_METHODS:
        return Scope.READ
    if req.method == "DELETE" and req.get_param_as_list("remove") not in (None, ["false"]):
        return Scope.ADMIN
    return Scope.SUBMIT
