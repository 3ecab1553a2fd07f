"""The statements of an .sql file by their names."""

import re
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load(name: str = "queries.sql") -> dict[str, str]:
    """Read the file: a line `-- name: NAME` begins each statement, and its comment says why it is as it is."""
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    _introduction, *blocks = _NAME.split(text)
    return dict(zip(blocks[::2], blocks[1::2], strict=True))
