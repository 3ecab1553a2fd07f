"""What is known of a model: its file, who made it, and how its numbers are read."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pivision.operations.objects import Label, ModelName

Family = Literal["yunet", "nanodet", "yolox"]
"""How a network's output is decoded; pivision/vision has one file for each."""


class Origin(msgspec.Struct, frozen=True):
    """Where a catalogue model's file comes from, and what it must be, to the byte."""

    url: str
    size_bytes: int
    sha256: str
    licence: str

    def is_in(self, file: Path) -> bool:
        """Whether `file` holds exactly this; all of it is read if its size fits. Raises OSError."""
        if file.stat().st_size != self.size_bytes:
            return False
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == self.sha256


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file in the folder of models."""

    name: ModelName
    file: str  # its own name there
    origin: Origin | None  # None: the owner's own


class Model(File, frozen=True, kw_only=True):
    """One model that an operation can look with."""

    operation: Literal["faces", "objects"]
    family: Family
    labels: tuple[Label, ...]  # in the order of the network's classes
    input_side_px: Annotated[int, Meta(ge=32, le=2048, multiple_of=32)]  # of the square picture that the network takes
