"""What a first start brings by itself: a model for each operation that needs one. Without a network it is soon over."""

import time
from pathlib import Path
from typing import NamedTuple

from pivision.errors import DownloadFailed
from pivision.models import INSTALL, Models, catalogue, download
from pivision.models.model import Model
from pivision.models.progress import Progress

OPERATIONS = ("faces", "objects")

_SILENCE_SECONDS = 8.0  # all that may be waited in vain; a line that brings something may take its time


class Attempt(NamedTuple):
    """What has come of it."""

    installed: list[Path]
    missing: list[str]  # operations
    reason: str  # why the first of them is; the command of the remedy tells of each

    @property
    def remedy(self) -> str:
        """Which models are not there, why, and what brings them; empty when none is missing."""
        if not self.missing:
            return ""
        what = f"no model for {' and '.join(self.missing)} ({self.reason})"
        return f"{what}; to turn it on: {INSTALL} {' '.join(self.missing)}"


def missing(models: Models) -> list[Model]:
    """The first model of each operation that has none yet, damaged ones and the owner's own counted."""
    there = {model.operation for model in models.known() if models.has(model)}
    return [catalogue.first(operation) for operation in OPERATIONS if operation not in there]


def try_once(models: Models, mirror: str, progress: Progress) -> Attempt:
    """Install what is missing; raises nothing."""
    installed: list[Path] = []
    failed: list[str] = []
    reason = ""
    patience_seconds = _SILENCE_SECONDS
    for model in missing(models):
        began = time.monotonic()
        try:
            if patience_seconds <= 0:
                raise DownloadFailed(reason)
            path = download.install(
                model, models.folder, mirror, progress, silence_seconds=patience_seconds, is_patient=False
            )
            installed.append(path)
        except DownloadFailed as error:
            failed.append(model.operation)
            reason = reason or str(error)
            patience_seconds -= time.monotonic() - began
    return Attempt(installed, failed, reason)
