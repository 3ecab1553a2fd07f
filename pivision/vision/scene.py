"""What an operation may look at."""

import dataclasses
from collections.abc import Callable

import msgspec

from pivision.vision.frame import Frame


@dataclasses.dataclass(frozen=True)
class Scene:
    """One task's picture, what came before it, and what has been found in it so far."""

    frame: Frame
    previous: Callable[[], Frame | None]  # decodes the picture before from the same source; None: there is none
    found: dict[str, msgspec.Struct]  # by operation; annotate runs last
    keep: Callable[[bytes], str]  # stores a JPEG with the task and returns its SHA-256
