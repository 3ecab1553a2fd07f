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
    missing: dict[str, str]  # why there is none, by operation

    @property
    def remedy(self) -> str:
        """What is off, why, and what turns it on; empty when nothing is off."""
        if not self.missing:
            return ""
        operations = " ".join(self.missing)
        reasons = "; ".join(dict.fromkeys(self.missing.values()))
        return f"no model for {operations.replace(' ', ' and ')} ({reasons}); to turn it on: {INSTALL} {operations}"


def missing(models: Models) -> list[Model]:
    """The first model of each operation that has none yet, damaged ones and the owner's own counted."""
    there = {model.operation for model in models.known() if (models.folder / model.file).exists()}
    return [catalogue.first(operation) for operation in OPERATIONS if operation not in there]


def try_once(models: Models, mirror: str, progress: Progress) -> Attempt:
    """Install what is missing; raises nothing."""
    attempt = Attempt([], {})
    patience_seconds = _SILENCE_SECONDS
    for model in missing(models):
        if patience_seconds <= 0:
            attempt.missing[model.operation] = next(iter(attempt.missing.values()))
            continue
        began = time.monotonic()
        try:
            path = download.install(
                model, models.folder, mirror, progress, silence_seconds=patience_seconds, is_patient=False
            )
        except DownloadFailed as error:
            attempt.missing[model.operation] = str(error)
            patience_seconds -= time.monotonic() - began
        else:
            attempt.installed.append(path)
    return attempt
