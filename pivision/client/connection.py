"""Requests to a box: each on a connection of its own, with a time limit, and errors of our own tree."""

import contextlib
import http.client
import json
import urllib.parse
from collections.abc import Iterator
from typing import Any

from pivision.errors import PiVisionError, ServerRefused, ServerUnreachable, TokenMissing, Unauthorized

_LATER = (429, 503)  # not now; what these refuse is worth a repetition
_PAUSE_SECONDS = 1.0  # where the box does not say how long
_LONGEST_PAUSE_SECONDS = 30.0


class Connection:
    """One box, by its address, and the token for it. May be used by several threads."""

    def __init__(self, url: str, token: str | None, timeout_seconds: float = 30.0) -> None:
        parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
        try:
            self._host, self._port = (parts.hostname or "").replace("%25", "%"), parts.port  # RFC 6874
        except ValueError:
            self._host, self._port = "", None
        if parts.scheme not in ("http", "https") or not self._host:
            raise ServerUnreachable(f"{url!r} is no address; one is http://the-pi:8080")
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._prefix = parts.path.rstrip("/")
        self._token = token
        self._timeout_seconds = timeout_seconds

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
        """The JSON of the answer. Raises ServerUnreachable, ServerRefused, Unauthorized, TokenMissing."""
        with self.answer(method, path, body, headers) as response:
            try:
                return json.loads(response.read())
            except ValueError:
                raise ServerUnreachable(f"what answers at {self.url} is no PiVision") from None

    @contextlib.contextmanager
    def answer(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer, to be read in the block; it raises as `ask` does, also for what goes wrong while it is read."""
        connection = self._kind(self._host, self._port, timeout=self._timeout_seconds)
        authorization = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            connection.request(method, self._prefix + path, body, {**authorization, **(headers or {})})
            response = connection.getresponse()
            if response.status >= 300:
                raise self._refusal(response)
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise ServerUnreachable(f"{self.url}: {error or type(error).__name__}") from None
        finally:
            connection.close()

    def _refusal(self, response: http.client.HTTPResponse) -> PiVisionError:
        if response.status == 401:
            return Unauthorized(f"{self.url} does not take this token") if self._token else TokenMissing()
        try:
            problem = json.loads(response.read())
        except ValueError:
            problem = None
        told = problem if isinstance(problem, dict) else {}
        code, detail = told.get("code", f"http-{response.status}"), told.get("detail", response.reason)
        pause_seconds = _pause_seconds(response.headers["Retry-After"]) if response.status in _LATER else None
        return ServerRefused(f"{detail} ({code}). {told.get('remedy', '')}".strip(), str(code), pause_seconds)


def _pause_seconds(retry_after: str | None) -> float:
    asked = float(retry_after) if retry_after and retry_after.isdecimal() else _PAUSE_SECONDS
    return min(asked, _LONGEST_PAUSE_SECONDS)
