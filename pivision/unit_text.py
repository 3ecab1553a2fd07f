"""The text of pivision.service for a user and folders, made of the committed one. Standard library only."""

import re
from pathlib import Path

ORIGIN = "\n[X-PiVision]\n"
"""Begins what an installation adds for itself: a section that systemd ignores."""

_PLAIN_PATH = re.compile(r"/[\w/.,@+-]*")  # letters and digits of every language
_FOLDER, _USER = "/home/djg/Projects/PiVision", "djg"  # for whom the committed one is valid as it stands


def substituted(committed: str, user: str, root: Path, data_dir: Path, log_dir: Path, models_dir: Path) -> str:
    """The unit, or a drop-in of it, with its user and folders replaced; the models' is named if it lies elsewhere."""
    instead = {
        f"{_FOLDER}/data": str(data_dir),
        f"{_FOLDER}/logs": str(log_dir),
        _FOLDER: str(root),
        _USER: user,
    }  # the longer ones first, since the first that fits is taken
    text = re.sub(
        "|".join(rf"(?<!\w){re.escape(old)}\b" for old in instead), lambda found: instead[found[0]], committed
    )
    if models_dir.is_relative_to(root):
        return text
    return text.replace("\nReadOnlyPaths=", f"\nBindReadOnlyPaths=-{models_dir}\nReadOnlyPaths=")


def fault_of_path(folder: Path) -> str:
    """Return why PiVision cannot use `folder`, or an empty string.

    A unit file, supervisord.conf, a shell and `#!` lines each read blanks, quotes, `;`, `%` and `$` in a way of their
    own. One rule for all of them is easier to keep than four ways to quote.
    """
    if _PLAIN_PATH.fullmatch(str(folder)):
        return ""
    return f"{str(folder)!r}: choose a folder of letters, digits and / . , @ + - _ only"
