"""Who may use /v1: whoever sends a valid token."""

from pathlib import Path

import falcon

from pivision import tokens
from pivision.errors import Unauthorized

_PROTECTED = "v1"


class TokenGuard:
    """Middleware: asks for the bearer token before anything under /v1 is looked at, whether it exists or not."""

    def __init__(self, secrets_dir: Path) -> None:
        self._secrets_dir = secrets_dir

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raise Unauthorized unless the request may pass."""
        if req.path.lstrip("/").partition("/")[0] != _PROTECTED:  # as the router reads it: it strips leading slashes
            return
        scheme, _, token = (req.auth or "").partition(" ")
        if scheme.lower() != "bearer" or not tokens.is_valid(self._secrets_dir, token.strip()):
            raise Unauthorized("this address needs a valid token")
