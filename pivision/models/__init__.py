"""The models: which there are, which are installed, and which one looks. No OpenCV here: the server asks, too."""

import contextlib
import hashlib
from pathlib import Path

import msgspec

from pivision.errors import ModelMissing, ModelUnusable, StorageUnavailable, may_pass
from pivision.models import manifest
from pivision.models.catalogue import CATALOGUE
from pivision.models.model import File, Model, Origin

COMMAND = ".venv/bin/python -m pivision models"
"""What lists, installs and removes models, in the project's folder."""

INSTALL = f"{COMMAND} install"

TRIAL_SECONDS = 45.0
"""How long one model may take to be loaded and run once on a Pi, imports included; less than a task has."""

_WHO_LOOKS = {"faces": ("faces", None), "objects": ("objects", None), "people": ("objects", "person")}
OPERATIONS = tuple(_WHO_LOOKS)
"""The operations for which a model looks: one that was made for the same or for another, and knows a certain label."""


class Installed(msgspec.Struct, frozen=True):
    """A model whose file is there and what it should be, to the byte."""

    model: Model
    path: Path
    identity: str  # of this file, read in this way: another one once it was replaced, or its manifest corrected


class Models:
    """The models in `folder`: those of the catalogue, and the owner's own (`manifest`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._verified: set[str] = set()  # identities, so that each file is read once and not for each task

    def choose(self, operation: str, name: str | None = None) -> Installed:
        """The model that is to look: the named one, or the first that is installed.

        Raises ModelMissing, and ModelUnusable for a file that is not what it should be.
        """
        return self.require(self.first(operation) if name is None else self.named(operation, name))

    def first(self, operation: str) -> Model:
        """The first candidate whose file is there, in order or not. Raises ModelMissing."""
        for model in self.candidates(operation):
            if self.has(model):
                return model
        raise ModelMissing(f"there is no model for {operation} yet: {INSTALL} {operation}")

    def candidates(self, operation: str) -> list[Model]:
        """The models that can look for one of OPERATIONS, installed or not."""
        made_for, label = _WHO_LOOKS[operation]
        return [
            model for model in self.known() if model.operation == made_for and (label is None or label in model.labels)
        ]

    def has(self, model: Model) -> bool:
        """Whether its file is there, in order or not; one that this user may not see is not.

        Raises StorageUnavailable.
        """
        path = self.folder / model.file
        try:
            path.stat()
        except OSError as error:
            if may_pass(error):
                raise StorageUnavailable(f"{path}: {error.strerror}") from error
            return False
        return True

    def named(self, operation: str, name: str) -> Model:
        """The model of this name, installed or not. Raises ModelMissing, ModelUnusable (a wrong manifest)."""
        candidates = self.candidates(operation)
        for model in candidates:
            if model.name == name:
                return model
        for file in manifest.files(self.folder):
            if file.stem == name:
                manifest.read(file)  # tells why it is none of those
        raise ModelMissing(
            f"there is no model {name!r} for {operation}; there are: {', '.join(model.name for model in candidates)}"
        )

    def known(self) -> tuple[Model, ...]:
        """Those of the catalogue, then the owner's own by name; installed or not. Wrong manifests are left out."""
        own = []
        for file in manifest.files(self.folder):
            with contextlib.suppress(ModelUnusable):
                own.append(manifest.read(file))
        return (*CATALOGUE, *own)

    def require(self, model: Model) -> Installed:
        """The model, if its file is there. Raises ModelMissing, ModelUnusable."""
        return Installed(model, self.folder / model.file, self.check(model))

    def check(self, file: File) -> str:
        """The identity of a file that is there and in order.

        Raises ModelMissing, ModelUnusable, and StorageUnavailable where nobody can tell just now.
        """
        path = self.folder / file.file
        try:
            status = path.stat()
        except OSError as error:
            if may_pass(error):
                raise StorageUnavailable(f"{path}: {error.strerror}") from error
            hint = f": {INSTALL} {file.name}" if file.origin else ""
            raise ModelMissing(f"{path}: {error.strerror}{hint}") from None
        description = hashlib.sha256(msgspec.json.encode(file)).hexdigest()[:16]
        identity = f"{file.name} {description} {status.st_size} {status.st_mtime_ns}"
        if file.origin is not None and identity not in self._verified:
            if not _is_whole(path, file.origin):
                raise ModelUnusable(f"{path} is damaged or another file: {INSTALL} {file.name}")
            self._verified.add(identity)
        return identity


def _is_whole(path: Path, origin: Origin) -> bool:
    try:
        return origin.is_in(path)
    except OSError as error:
        raise (StorageUnavailable if may_pass(error) else ModelUnusable)(f"{path}: {error.strerror}") from error
