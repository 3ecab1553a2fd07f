"""The models: which there are, which are installed, and which one looks. No OpenCV here: the server asks, too."""

import contextlib
import hashlib
from pathlib import Path

import msgspec

from pivision.errors import ModelMissing, ModelUnusable
from pivision.models import manifest
from pivision.models.catalogue import CATALOGUE
from pivision.models.model import Model

INSTALL = "python -m pivision models install"


class Installed(msgspec.Struct, frozen=True):
    """A model whose file is there and what it should be, to the byte."""

    model: Model
    path: Path
    identity: str  # of this state of the file: another one once it was replaced


class Models:
    """The models in `folder`: those of the catalogue, and the owner's own (`manifest`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._verified: set[str] = set()  # identities, so that each file is read once and not for each task

    def choose(self, operation: str, name: str | None = None, label: str | None = None) -> Installed:
        """The model that is to look: the named one, or the first that is installed, and knows `label` if one is given.

        Raises ModelMissing, and ModelUnusable for a file that is not what it should be.
        """
        if name is not None:
            return self.require(self.named(operation, name))
        for model in self.known():
            is_right = model.operation == operation and (label is None or label in model.labels)
            if is_right and (self.folder / model.file).exists():
                return self.require(model)
        raise ModelMissing(f"there is no model for {operation} yet: {INSTALL} {operation}")

    def named(self, operation: str, name: str) -> Model:
        """The model of this name, installed or not. Raises ModelMissing, ModelUnusable (a wrong manifest)."""
        if (file := self.folder / f"{name}.toml").exists():
            return manifest.read(file)
        names = [model.name for model in self.known() if model.operation == operation]
        if name not in names:
            raise ModelMissing(f"there is no model {name!r} for {operation}; there are: {', '.join(names)}")
        return next(model for model in self.known() if model.name == name)

    def known(self) -> tuple[Model, ...]:
        """Those of the catalogue, then the owner's own by name; installed or not. Wrong manifests are left out."""
        own = []
        for file in manifest.files(self.folder):
            with contextlib.suppress(ModelUnusable):
                own.append(manifest.read(file))
        return (*CATALOGUE, *own)

    def require(self, model: Model) -> Installed:
        """The model, if its file is there. Raises ModelMissing, ModelUnusable."""
        path = self.folder / model.file
        try:
            status = path.stat()
        except OSError as error:
            hint = f": {INSTALL} {model.name}" if model.origin else ""
            raise ModelMissing(f"{path}: {error.strerror}{hint}") from None
        identity = f"{model.file} {status.st_size} {status.st_mtime_ns}"
        if model.origin is not None and identity not in self._verified:
            if status.st_size != model.origin.size_bytes or _sha256(path) != model.origin.sha256:
                raise ModelUnusable(f"{path} is damaged or another file: {INSTALL} {model.name}")
            self._verified.add(identity)
        return Installed(model, path, identity)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelUnusable(f"{path}: {error.strerror}") from None
