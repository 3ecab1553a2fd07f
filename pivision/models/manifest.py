"""An owner's own model: NAME.toml beside its .onnx file says how it is read.

# models/parcels.toml
file = "parcels.onnx"
family = "yolox"             # or "nanodet"
input_side_px = 416
labels = ["parcel", "letter"]
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pivision.errors import ModelUnusable, StorageUnavailable, may_pass
from pivision.models.catalogue import FILES
from pivision.models.model import Model
from pivision.operations.objects import Label

_NAME_LIMIT_CHARACTERS = 63  # of up to four bytes each: every file system takes such a name


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What NAME.toml holds."""

    file: Annotated[str, Meta(pattern=r"^[^/\x00-\x1f]+\.onnx$", max_length=_NAME_LIMIT_CHARACTERS)]
    family: Literal["nanodet", "yolox"]
    input_side_px: Annotated[int, Meta(ge=32, le=2048, multiple_of=32)]
    labels: Annotated[tuple[Label, ...], Meta(min_length=1, max_length=10_000)]


def files(folder: Path) -> list[Path]:
    """The manifests in `folder`, by name; none where this user may not look. Raises StorageUnavailable."""
    try:
        return sorted(file for file in folder.iterdir() if file.suffix == ".toml")
    except OSError as error:
        if may_pass(error):
            raise StorageUnavailable(f"{folder}: {error.strerror}") from error
        return []


def read(file: Path) -> Model:
    """The model that a manifest describes. Raises ModelUnusable when it says something wrong, StorageUnavailable."""
    try:
        told = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), Manifest)
        model = {"name": file.stem, "operation": "objects", "origin": None, **msgspec.structs.asdict(told)}
        if file.stem in FILES:
            raise ModelUnusable(f"{file}: the catalogue has a model of this name; rename the file")
        return msgspec.convert(model, Model)
    except (UnicodeDecodeError, RecursionError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ModelUnusable(f"{file}: {error}") from None
    except OSError as error:
        raise (StorageUnavailable if may_pass(error) else ModelUnusable)(f"{file}: {error}") from error
