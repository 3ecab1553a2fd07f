"""Access tokens: made here, shown once, and kept as SHA-256 only, one file for each name.

A token has 256 random bits, so that a plain hash is as good as a slow one. Its scope says what it may.
"""

import enum
import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path
from typing import NamedTuple

from pivision import program
from pivision.errors import InvalidRequest, StorageUnavailable

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Scope(enum.StrEnum):
    """What a token may; each may what the one before may, too."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"

    def covers(self, other: "Scope") -> bool:
        """Whether who may this may `other`."""
        order = list(Scope)
        return order.index(self) >= order.index(other)


class Token(NamedTuple):
    """What is kept of a token."""

    name: str
    digest: str
    scope: Scope


def create(secrets_dir: Path, name: str, scope: Scope = Scope.ADMIN) -> str:
    """Make a token under this name, in place of an older one, and return it. Raises InvalidRequest for a bad name."""
    _check(name)
    token = secrets.token_urlsafe(32)
    folder = _folder(secrets_dir)
    program.make_private_folder(folder)
    new = folder / f".{name}.{os.getpid()}"
    # Of an admin's there is no second line: versions that knew no scopes read it, too, and an upgrade may go back.
    content = digest(token) + ("" if scope is Scope.ADMIN else f"\n{scope}\n")
    new.touch(0o600)
    new.write_text(content, encoding="ascii")
    new.replace(folder / name)
    return token


def remove(secrets_dir: Path, name: str) -> bool:
    """Let the token of this name be valid no longer; whether there was one. Raises InvalidRequest for a bad name."""
    _check(name)
    try:
        (_folder(secrets_dir) / name).unlink()
    except FileNotFoundError:
        return False
    return True


def kept(secrets_dir: Path) -> list[Token]:
    """Every token, by name. Raises StorageUnavailable where one cannot be read just now.

    The files are read each time, so that a token made or removed by another process counts at once.
    """
    return [token for name in _names(secrets_dir) if (token := named(secrets_dir, name))]


def named(secrets_dir: Path, name: str) -> Token | None:
    """The token of this name, if there is one. Raises StorageUnavailable where nobody can tell just now."""
    if not _NAME.fullmatch(name):
        return None
    try:
        content = (_folder(secrets_dir) / name).read_text(encoding="ascii")
    except (
        FileNotFoundError,
        NotADirectoryError,
        IsADirectoryError,
        UnicodeDecodeError,
    ):  # removed, or no token at all
        return None
    except OSError as error:
        raise StorageUnavailable(f"token {name!r} cannot be read: {error.strerror}") from error
    known, has_scope, scope = content.partition("\n")
    scope = scope.strip() if has_scope else Scope.ADMIN
    if not _DIGEST.fullmatch(known) or scope not in list(Scope):
        return None
    return Token(name, known, Scope(scope))


def find(secrets_dir: Path, token: str) -> Token | None:
    """What is kept of `token`, if it is valid, in a time that does not tell how much of it is right.

    Raises StorageUnavailable if it is none of those that can be read: then it may be one of the others.
    """
    wanted = digest(token)
    matches: list[Token] = []
    unread: StorageUnavailable | None = None
    for name in _names(secrets_dir):
        try:
            each = named(secrets_dir, name)
        except StorageUnavailable as error:
            unread = error
            continue
        if each and hmac.compare_digest(wanted, each.digest):  # all are compared, whichever fits
            matches.append(each)
    if unread and not matches:
        raise unread
    return matches[0] if matches else None


def digest(token: str) -> str:
    """What is kept in the place of a token."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidRequest(f"{name!r} is no name for a token: letters a to z, digits, - and _, at most 64")


def _names(secrets_dir: Path) -> list[str]:
    try:
        return sorted(file.name for file in _folder(secrets_dir).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StorageUnavailable(f"the tokens cannot be read: {error.strerror}") from error


def _folder(secrets_dir: Path) -> Path:
    return secrets_dir / "tokens"
