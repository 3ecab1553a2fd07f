"""The folders that everything lives in: made anew when somebody has deleted them, the secrets from their copy."""

import contextlib
import os
import shutil
import signal
from pathlib import Path

from pivision import program


class Folders:
    """The data and the log folder, and a copy of the secrets in the run folder, which a deleted data folder leaves."""

    def __init__(self, data_dir: Path, log_dir: Path, run_dir: Path) -> None:
        self._data_dir = data_dir
        self._log_dir = log_dir
        self._secrets, self._copy = data_dir / "secrets", run_dir / "secrets"
        self._copied: object = None
        self._seen: object = None

    def missing(self) -> list[Path]:
        """Which of them are not there. One that cannot be looked at now is not missing."""
        return [folder for folder in (self._data_dir, self._log_dir) if _is_missing(folder)]

    def mend(self, folder: Path) -> None:
        """Make a missing folder. Raises OSError where only systemd can: outside of the unit's sandbox."""
        program.make_private_folder(folder)
        if folder == self._log_dir:
            os.kill(os.getppid(), signal.SIGUSR2)  # supervisord still writes to the deleted files: let it open new ones

    def tend_secrets(self) -> None:
        """Keep the copy up to date, or put it back when the folder of the secrets is gone."""
        with contextlib.suppress(OSError):
            restore_secrets(self._secrets, self._copy)
            found = {str(file): file.stat().st_mtime_ns for file in self._secrets.rglob("*")}
            is_at_rest, self._seen = found == self._seen, found  # else somebody may be deleting them just now
            if found and is_at_rest and (found != self._copied or program.is_gone(self._copy)):
                new = self._copy.with_suffix(".new")
                shutil.rmtree(new, ignore_errors=True)
                shutil.copytree(self._secrets, new)
                shutil.rmtree(self._copy, ignore_errors=True)
                new.replace(self._copy)
                self._copied = found


def restore_secrets(secrets: Path, copy: Path) -> None:
    """Put the copy where the secrets were, if they are gone: nobody is there to hand out new tokens. Raises OSError."""
    if not program.is_gone(copy) and program.is_gone(secrets):
        shutil.copytree(copy, secrets)


def _is_missing(folder: Path) -> bool:
    try:
        return program.is_gone(folder)
    except OSError:
        return False
