"""Where the service keeps its files and where it listens: what the installation must know of the settings."""

import json
from pathlib import Path
from typing import NamedTuple

from pivision import listening
from pivision.install.venv import ROOT


class Place(NamedTuple):
    """The settings that count here; the defaults, for a machine without an environment, are those of config.py."""

    host: str = "::"  # as in config.py
    port: int = 8080
    data_dir: Path = ROOT / "data"
    log_dir: Path = ROOT / "logs"
    models_dir: Path = ROOT / "models"
    reboots_max: int = 0  # above 0, health may reboot the machine

    @property
    def token_file(self) -> Path:
        """Where the owner's access token is kept."""
        return self.data_dir / "secrets" / "owner-token"

    @property
    def url(self) -> str:
        """Where this machine reaches the server."""
        return listening.url(listening.reachable_host(self.host), self.port)


def read(answer: str) -> Place:
    """The place that `pivision.install.prepare` has printed."""
    said = json.loads(answer)
    data_dir, log_dir, models_dir = (Path(said[name]) for name in ("data_dir", "log_dir", "models_dir"))
    return Place(said["host"], said["port"], data_dir, log_dir, models_dir, said["reboots_max"])
