"""Who may use /v1: whoever sends a valid token."""

from pathlib import Path

import falcon

from pivision import tokens
from pivision.errors import Unauthorized

PROTECTED = "/v1/"


class TokenGuard:
    """Middleware: asks for the bearer token before anything under /v1 is looked at, whether it exists or not."""

    def __init__(self, secrets_dir: Path) -> None:
        self._secrets_dir = secrets_dir

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raise Unauthorized unless the request may pass."""
        if not req.path.startswith(PROTECTED):
            return
        scheme, _, token = (req.auth or "").partition(" ")
        if scheme.lower() != "bearer" or not tokens.is_valid(self._secrets_dir, token.strip()):
            raise Unauthorized("this address needs a valid token")
