"""The models: who looks for what, and what is wrong with their files."""

from pivision.doctor.finding import Findings, failure, ok, warning
from pivision.doctor.site import INSTALL, NoAnswer, Site

_MODELS = ".venv/bin/python -m pivision models"
_SECONDS = 300.0  # all files are read, from an SD card, and OpenCV tries to load them


def models(site: Site) -> Findings:
    """Who looks for faces, objects, people and text; damaged files, those that OpenCV cannot load, wrong manifests."""
    try:
        found = site.ask("models", timeout_seconds=_SECONDS)
    except NoAnswer as reason:
        yield warning(f"not checked: {reason}", "see the check opencv" if site.python.exists() else INSTALL)
        return
    looks: dict[str, str | None] = found["looks"]
    unusable: dict[str, str] = found["damaged"] | found["unloadable"]
    for name, fault in found["damaged"].items():
        state = failure if name in looks.values() else warning
        yield state(fault.partition(f": {_MODELS}")[0], f"{_MODELS} install {name}")
    for name, fault in found["unloadable"].items():
        state = failure if name in looks.values() else warning
        yield state(f"OpenCV cannot load {name}: {fault}", f"{_MODELS} remove {name}; {_MODELS} lists others")
    for name, fault in found["incomplete"].items():
        yield warning(fault, f"put the file there, or remove {name}.toml beside it")
    for fault in found["manifests"]:
        yield warning(fault, "correct it; docs/models.md has an example")
    if missing := [operation for operation, who in looks.items() if who is None and operation != "text"]:
        yield warning(f"nothing looks for {', '.join(missing)}", f"{_MODELS} install {' '.join(missing)}")
    if fine := [f"{operation}: {who}" for operation, who in looks.items() if who and who not in unusable]:
        yield ok(", ".join(fine) + ("" if looks["text"] else f"; text needs: {_MODELS} install text"))
