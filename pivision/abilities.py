"""What the vision of this machine can do: told by a worker, who has OpenCV, in a file for the server, who has not."""

import contextlib
import difflib
import os
from pathlib import Path

import msgspec

from pivision import heartbeat
from pivision.errors import InvalidParameter, ModelMissing, ModelUnusable
from pivision.models import INSTALL, Installed, Models
from pivision.operations import OperationCall
from pivision.operations.faces import FacesParams
from pivision.operations.objects import ObjectsParams
from pivision.operations.people import PeopleParams

_FILE = Path(heartbeat.FOLDER, "abilities.json")


class Abilities(msgspec.Struct, frozen=True):
    """What depends on the OpenCV and the packages that are there, and not on PiVision."""

    opencv: str  # its version
    stand_ins: dict[str, str]  # what OpenCV itself has in place of a model, by operation: haar, hog
    text: bool  # the package that reads text
    models: dict[str, str | None]  # those that were tried, by the identity of their file: None, or why they do not load


def publish(run_dir: Path, abilities: Abilities) -> None:
    """Tell the server. Several workers may do so at once, so each writes a file of its own first."""
    new = run_dir / _FILE.with_suffix(f".{os.getpid()}")
    new.parent.mkdir(mode=0o700, exist_ok=True)
    new.write_bytes(msgspec.json.encode(abilities))
    new.replace(run_dir / _FILE)


def published(run_dir: Path) -> Abilities | None:
    """What a worker has told; None before the first one has started."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode((run_dir / _FILE).read_bytes(), type=Abilities)
    return None


def require(call: OperationCall, models: Models, abilities: Abilities | None) -> Installed | None:
    """The model with which this operation is to be run here; None if it needs none.

    While no worker has told its abilities, what depends on them counts as there.
    Raises ModelMissing, ModelUnusable, InvalidParameter (a label that the model does not know).
    """
    try:
        chosen = _chosen(call, models)
    except ModelMissing:
        if not _has_stand_in(call.name, abilities):
            raise
        return None
    if chosen is not None and abilities is not None and (fault := abilities.models.get(chosen.identity)):
        raise ModelUnusable(f"model {chosen.model.name}: {fault}")
    if call.name == "text" and abilities is not None and not abilities.text:
        raise ModelMissing(f"text needs a package that is not installed: {INSTALL} text")
    return chosen


def _chosen(call: OperationCall, models: Models) -> Installed | None:
    match call.params:
        case FacesParams() | PeopleParams():
            return models.choose(call.name)
        case ObjectsParams(model=name, labels=labels):
            chosen = models.choose("objects", name)
            if unknown := set(labels).difference(chosen.model.labels):
                near = difflib.get_close_matches(min(unknown), chosen.model.labels, n=1)
                hint = f"; is it {near[0]!r}?" if near else ""
                raise InvalidParameter(f"model {chosen.model.name!r} knows no {min(unknown)!r}{hint}")
            return chosen
    return None


def _has_stand_in(operation: str, abilities: Abilities | None) -> bool:
    return operation in (("faces", "people") if abilities is None else abilities.stand_ins)
