"""Who may use /v1: whoever sends a valid token."""

import falcon

from pivision import tokens
from pivision.api import deepstack_form
from pivision.config import Settings
from pivision.errors import Unauthorized

_PROTECTED = ("v1", "metrics")


class Access:
    """Looks at tokens; with the setting auth = "none", everybody may pass."""

    def __init__(self, settings: Settings) -> None:
        self._secrets_dir = settings.secrets_dir
        self._is_open = settings.auth == "none"

    def require(self, req: falcon.Request, key: str = "") -> None:
        """Raise Unauthorized unless the request brings a valid token as its bearer, or `key` is one."""
        scheme, _, token = (req.auth or "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        if not self._is_open and not any(tokens.is_valid(self._secrets_dir, each) for each in (bearer, key) if each):
            raise Unauthorized("this address needs a valid token")


class TokenGuard:
    """Middleware: asks for the bearer token before anything under /v1 is looked at, whether it exists or not.

    But for the addresses of DeepStack's protocol: there the token may be a field of the form, and so the resources ask
    for it themselves, when they have read that.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raise Unauthorized unless the request may pass."""
        if req.path.lstrip("/").partition("/")[0] not in _PROTECTED:  # as the router reads it, which strips slashes
            return
        if req.method != "POST" or not deepstack_form.is_spoken_at(req.path):
            self._access.require(req)
