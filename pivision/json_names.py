"""JSON whose objects name each member once: of two of one name, every decoder would silently drop one."""

import json
from typing import Any

from pivision.errors import InvalidRequest


def require_unique(text: bytes, what: str) -> None:
    """Raise InvalidRequest for an object in `text`, which is valid JSON, that has two members of one name."""

    def once(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        for name in names if len(set(names)) < len(names) else ():
            if names.count(name) > 1:
                raise InvalidRequest(f"{what} has {name[:80]!r} twice in one object")

    json.loads(text.decode(), object_pairs_hook=once)
