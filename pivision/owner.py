"""The owner's access token: made once, and kept where the owner can read it again."""

import contextlib
from pathlib import Path

from pivision import program, tokens

NAME = "owner"


def token_file(secrets_dir: Path) -> Path:
    """The file with the token, for its owner alone."""
    return secrets_dir / "owner-token"


def token(secrets_dir: Path) -> str:
    """Return the owner's token. Make a new one where there is none yet, or it has been revoked."""
    file = token_file(secrets_dir)
    with contextlib.suppress(FileNotFoundError, UnicodeDecodeError):
        kept = file.read_text(encoding="ascii").strip()
        if tokens.find(secrets_dir, kept):
            return kept
    made = tokens.create(secrets_dir, NAME)
    program.write_durably(file, f"{made}\n".encode())
    return made
