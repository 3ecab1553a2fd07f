"""The statements of queries.sql by their names."""

import re
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load() -> dict[str, str]:
    """Read queries.sql: a line `-- name: NAME` begins each statement, and its comment says why it is as it is."""
    text = resources.files(__package__).joinpath("queries.sql").read_text(encoding="utf-8")
    _introduction, *blocks = _NAME.split(text)
    return dict(zip(blocks[::2], blocks[1::2], strict=True))
