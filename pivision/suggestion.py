"""What a person probably meant by a name that is not known."""

import difflib
from collections.abc import Iterable

_LENGTH_LIMIT = 64  # longer is no slip of the pen, and comparing costs time


def for_name(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" for a near miss, else nothing: to be put behind an error's detail."""
    near = difflib.get_close_matches(name[:_LENGTH_LIMIT].lower(), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
