"""One POST to the owner's webhook: no proxy, no redirect, signed if there is a secret, and bounded whatever answers.

Standard library only.
"""

import base64
import contextlib
import hashlib
import hmac
import http.client
import socket
import ssl
import string
import threading
import urllib.parse
from pathlib import Path

LIMIT_SECONDS = 30.0
"""For the whole of an attempt: name lookup, connection, TLS and answer, however slowly they come."""

SECRET_LIMIT_BYTES = 16
"""A shorter secret could be guessed from one signed notice."""

SIGNATURE_HEADER = "X-PiVision-Signature"

_SILENCE_SECONDS = 10.0


class Webhook:
    """The owner's address. `secret_file` holds what notices are signed with; without the file they are not signed."""

    def __init__(self, url: str, secret_file: Path, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._url = url
        self._secret_file = secret_file
        self._limit_seconds = limit_seconds
        self._attempt: _Attempt | None = None
        self._has_signed = False

    @property
    def host(self) -> str | None:
        """The host alone, for the log: the rest of the address may be a secret. None if the address has none."""
        with contextlib.suppress(ValueError):
            return urllib.parse.urlsplit(self._url).hostname
        return None

    def post(self, notice: bytes) -> str:
        """Post JSON once; return what went wrong, or "" when the other side has taken it, with a 2xx."""
        if self._attempt is not None and self._attempt.is_alive():  # as long as one hangs, there is no second one
            self._attempt.join(self._limit_seconds)
            if self._attempt.is_alive():
                return "the attempt before has not ended"
        headers = {"Content-Type": "application/json", "User-Agent": "PiVision"}
        try:
            if secret := self._secret():
                headers[SIGNATURE_HEADER] = "sha256=" + hmac.new(secret, notice, hashlib.sha256).hexdigest()
        except (OSError, ValueError) as error:  # never without a signature where one is wanted
            return f"{self._secret_file.name}: {error.strerror if isinstance(error, OSError) else error}"
        self._attempt = _Attempt(self._url, notice, headers)
        self._attempt.start()
        self._attempt.join(self._limit_seconds)
        if self._attempt.is_alive():
            self._attempt.give_up()
            return f"no answer within {self._limit_seconds:g} s"
        return self._attempt.fault

    def _secret(self) -> bytes:
        """What the file holds; read each time, so that a new one counts at once. Empty without a file."""
        try:
            secret = self._secret_file.read_bytes().strip()
        except FileNotFoundError:
            if self._has_signed and not self._secret_file.parent.is_dir():  # deleted; health puts its copy there
                raise
            return b""
        if len(secret) < SECRET_LIMIT_BYTES:
            raise ValueError(f"has fewer than {SECRET_LIMIT_BYTES} bytes")
        self._has_signed = True
        return secret


class _Attempt(threading.Thread):
    """One request, in a thread of its own: a name lookup cannot be broken off, only left behind."""

    def __init__(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        super().__init__(name="notice", daemon=True)
        self.fault = "not tried"
        self._url = url
        self._body = body
        self._headers = headers
        self._is_given_up = False
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        """Post, and leave the outcome in `fault`."""
        try:
            self.fault = self._post()
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.fault = type(error).__name__
        finally:
            if self._connection is not None:
                self._connection.close()

    def give_up(self) -> None:
        """Let the thread end as soon as it can."""
        self._is_given_up = True
        with contextlib.suppress(OSError, AttributeError):  # closed, or not connected yet
            self._connection.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]

    def _post(self) -> str:
        address = urllib.parse.urlsplit(self._url)
        host, port = address.hostname or "", address.port
        if address.scheme == "https":
            context = ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(host, port, timeout=_SILENCE_SECONDS, context=context)
        else:
            self._connection = http.client.HTTPConnection(host, port, timeout=_SILENCE_SECONDS)
        if address.username is not None:
            pair = f"{urllib.parse.unquote(address.username)}:{urllib.parse.unquote(address.password or '')}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        target = (address.path or "/") + (f"?{address.query}" if address.query else "")
        self._connection.connect()
        if self._is_given_up:
            return "given up"
        self._connection.request("POST", urllib.parse.quote(target, safe=string.punctuation), self._body, self._headers)
        status = self._connection.getresponse().status  # its body is not read, however long it is
        if 200 <= status < 300:
            return ""
        if 300 <= status < 400:
            return f"answered {status}: redirects are not followed; name the address that they lead to"
        return f"answered {status}"
