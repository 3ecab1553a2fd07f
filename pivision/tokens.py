"""Access tokens: made here, shown once, and kept as SHA-256 only, one file for each name.

A token has 256 random bits, so that a plain hash is as good as a slow one.
"""

import contextlib
import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

from pivision import program
from pivision.errors import InvalidRequest

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def create(secrets_dir: Path, name: str) -> str:
    """Make a token under this name, in place of an older one, and return it. Raises InvalidRequest for a bad name."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest(f"{name!r} is no name for a token: letters a to z, digits, - and _, at most 64")
    token = secrets.token_urlsafe(32)
    folder = _folder(secrets_dir)
    program.make_private_folder(folder)
    new = folder / f".{name}.{os.getpid()}"
    new.write_text(_digest(token), encoding="ascii")
    new.chmod(0o600)
    new.replace(folder / name)
    return token


def remove(secrets_dir: Path, name: str) -> None:
    """Let the token of this name be valid no longer."""
    (_folder(secrets_dir) / name).unlink(missing_ok=True)


def is_valid(secrets_dir: Path, token: str) -> bool:
    """Whether `token` is one of those kept, in a time that does not tell how much of it is right.

    The files are read each time, so that a token made or removed by another process counts at once.
    """
    digest = _digest(token).encode()
    kept = []
    with contextlib.suppress(FileNotFoundError):
        for file in _folder(secrets_dir).iterdir():
            if _NAME.fullmatch(file.name):
                with contextlib.suppress(OSError):  # removed just now, or no file at all
                    kept.append(file.read_bytes())
    matches = [hmac.compare_digest(digest, known) for known in kept]  # each is compared, whichever fits
    return True in matches


def _folder(secrets_dir: Path) -> Path:
    return secrets_dir / "tokens"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
