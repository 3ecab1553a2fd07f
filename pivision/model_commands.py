"""`python -m pivision models`: lists the models, installs and removes them."""

import difflib
import json
import os
import subprocess
import sys
from collections.abc import Iterator

from pivision import abilities
from pivision.config import ROOT, Settings
from pivision.errors import InstallationFailed, ModelMissing, ModelUnusable, PiVisionError
from pivision.install import venv
from pivision.models import INSTALL, OPERATIONS, TRIAL_SECONDS, Models, catalogue, download, inventory, starter
from pivision.models.model import File
from pivision.models.progress import Progress, megabytes

_PROBE_SECONDS = 30.0  # to start, and to answer
_TEXT = "text"  # read by a package, and not by a model of the catalogue


def listing(settings: Settings) -> Iterator[str]:
    """The lines of `models`: a table of all there are, what is wrong with some, and who looks for what."""
    models = Models(settings.models_dir)
    entries = inventory.entries(models)
    wrong = inventory.wrong_manifests(models)
    rows = [("NAME", "OPERATION", "SIZE", "LICENCE", "STATE")]
    for model, state, _ in entries:
        if model.origin is not None:
            size = megabytes(model.origin.size_bytes)
            rows.append((model.name, model.operation, size, model.origin.licence, state))
        else:
            rows.append((model.name, model.operation, "", "own", "own" if state == "installed" else "own, no file"))
    faults = [entry.fault for entry in entries if entry.state == "damaged" or (entry.fault and not entry.model.origin)]
    for other in catalogue.OTHERS:
        state, fault = inventory.state_of(models, other)
        if other.origin is not None:
            rows.append((other.name, "-", megabytes(other.origin.size_bytes), other.origin.licence, state))
        faults += [fault] if state == "damaged" else []
    rows += [(file.name, "", "", "own", "wrong manifest") for file in wrong]
    rows.append((_TEXT, _TEXT, "", "", "installed" if inventory.text_reader() else "not installed"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if faults or wrong:
        yield ""
        yield from (*faults, *wrong.values())
    yield ""
    told = abilities.published(settings.run_dir)  # of a worker that has run here; without one, nothing is known
    stand_ins = told.stand_ins if told else {}
    damaged = {entry.model.name for entry in entries if entry.state == "damaged"}
    for operation, looks in (inventory.who_looks(models, stand_ins) | {_TEXT: inventory.text_reader()}).items():
        damage = ", damaged" if looks in damaged else ""
        yield f"{operation + ':':<9}{looks or f'nothing yet; {INSTALL} {operation}'}{damage}"
    yield f"\nin {settings.models_dir}"


def install(settings: Settings, names: list[str]) -> bool:
    """Install models by their names, or what an operation needs; whether all of them are there and can be loaded.

    Raises ModelMissing, before anything is installed, for a name that there is not.
    """
    models = Models(settings.models_dir)
    wanted = [_wanted(name, models) for name in names or starter.OPERATIONS]
    is_fine = True
    there = []
    for model in dict.fromkeys(wanted):
        try:
            if model is None:
                venv.add(_TEXT)
            else:
                path = download.install(model, settings.models_dir, settings.model_mirror, Progress())
                print(f"{model.name}: {path}", flush=True)
                there.append(model.name)  # those that nothing looks with are not tried
        except PiVisionError as error:
            _say(error)
            is_fine = False
    for name, fault in _unloadable(settings, there).items():
        _say(ModelUnusable(f"this OpenCV cannot load {name}: {fault}"))
        is_fine = False
    return is_fine


def remove(settings: Settings, names: list[str]) -> None:
    """Remove models of the catalogue; one that is not there is no error. Raises ModelMissing, InstallationFailed."""
    for name in names:
        if name not in catalogue.FILES:
            own = f"; {name}.toml is your own: delete it and its .onnx file yourself"
            is_own = (settings.models_dir / f"{name}.toml").exists()
            raise ModelMissing(
                f"the catalogue has no model {name!r}" + (own if is_own else _near(name, list(catalogue.FILES)))
            )
    for name in names:
        try:
            is_gone = download.remove(catalogue.FILES[name], settings.models_dir)
        except OSError as error:
            raise InstallationFailed(f"{name} cannot be removed: {error}") from None
        print(f"{name}: removed" if is_gone else f"{name}: not installed")


def _wanted(name: str, models: Models) -> File | None:
    """The model that is meant; None for the package that reads text."""
    if name == _TEXT:
        return None
    if name in OPERATIONS:
        return models.candidates(name)[0]  # of the catalogue, which comes before the owner's own
    if name not in catalogue.FILES:
        known = [*catalogue.FILES, *OPERATIONS, _TEXT]
        raise ModelMissing(f"there is no model {name!r}{_near(name, known)}")
    return catalogue.FILES[name]


def _near(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"; is it {near[0]!r}?" if near else f"; there are: {', '.join(names)}"


def _say(error: PiVisionError) -> None:
    """As the command says it that ends with one."""
    print(f"pivision: {error} [{error.code}]\n{error.remedy}", file=sys.stderr, flush=True)


def _unloadable(settings: Settings, names: list[str]) -> dict[str, str]:
    """Why this OpenCV cannot load some of these. Tried in a process of its own, which a wrong file may well crash."""
    if not names:
        return {}
    command = [sys.executable, "-m", "pivision.probe", "unloadable", *names]
    environment = {**os.environ, **settings.environment()}
    seconds = _PROBE_SECONDS + TRIAL_SECONDS * len(names)
    try:
        asked = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds, check=True
        )
        told: dict[str, str] = json.loads(asked.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        print(f"whether OpenCV can load them was not found out: {error}", file=sys.stderr)
        return {}
    return told
