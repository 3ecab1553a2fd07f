"""Sessions of browsers: who has shown a token once goes on by a cookie. Kept as SHA-256 only, one file for each.

A session is worth what its token is: it ends with it, and with its being made anew. It outlives the server.
"""

import contextlib
import os
import re
import secrets
from pathlib import Path

from pivision import tokens
from pivision.tokens import Token

LIFETIME_SECONDS = 30 * 86400
"""How long a browser keeps the cookie."""

_KEPT = 100
_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}")


def create(secrets_dir: Path, token: Token) -> str:
    """Begin a session for whoever has shown this token, and return what the cookie is to hold."""
    cookie = secrets.token_urlsafe(32)
    folder = _folder(secrets_dir)
    folder.mkdir(0o700, exist_ok=True)  # never the folder around it: health puts that back, but only where none is
    _make_room(folder)
    file = _file(secrets_dir, cookie)
    new = folder / f".{file.name}.{os.getpid()}"
    new.touch(0o600)
    new.write_text(f"{token.name}\n{token.digest}\n", encoding="ascii")
    new.replace(file)
    return cookie


def find(secrets_dir: Path, cookie: str) -> Token | None:
    """The token of the session, if there is such a session and its token is still the same."""
    if not _COOKIE.fullmatch(cookie):
        return None
    try:
        name, digest = _file(secrets_dir, cookie).read_text(encoding="ascii").split()
    except (OSError, ValueError):  # none, or damaged
        return None
    token = tokens.named(secrets_dir, name)
    return token if token and token.digest == digest else None


def remove(secrets_dir: Path, cookie: str) -> None:
    """End a session."""
    if _COOKIE.fullmatch(cookie):
        _file(secrets_dir, cookie).unlink(missing_ok=True)


def _make_room(folder: Path) -> None:
    """The oldest go before a new one comes: by a clock that was set back, the new one would seem the oldest."""
    ages: list[tuple[int, Path]] = []
    for file in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # ended just now
            ages.append((file.stat().st_mtime_ns, file))
    for _, file in sorted(ages)[: max(0, len(ages) - _KEPT + 1)]:
        file.unlink(missing_ok=True)


def _folder(secrets_dir: Path) -> Path:
    return secrets_dir / "sessions"


def _file(secrets_dir: Path, cookie: str) -> Path:
    return _folder(secrets_dir) / tokens.digest(cookie)
