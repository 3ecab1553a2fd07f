"""What is examined: the project's folder, the system below a root folder, and the settings that hold there."""

import contextlib
import functools
import json
import os
import pwd
import shlex
import signal
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from pivision import privileges
from pivision.doctor import unit_file
from pivision.doctor.finding import Finding, Findings
from pivision.doctor.unit_file import UnitFile
from pivision.privileges import User

PROJECT = Path(__file__).resolve().parent.parent.parent
UNIT = "pivision.service"
ACTIVE = ("active", "activating", "reloading")
"""What `systemctl is-active` says of a unit that has processes."""

AS_ROOT = "sudo python3 -m pivision doctor"
"""The remedy where only root, or the user that PiVision runs as, can look."""
INSTALL = "make run, or sudo make install"
"""The remedy where no environment is there."""

_COMMAND_SECONDS = 20.0  # systemctl and its like; `disable --now` waits for the end of a service
_STOP_SECONDS = 120.0


class NoAnswer(Exception):
    """The environment's Python gave no answer; the text says why."""


class Settings(NamedTuple):
    """Those settings that the doctor needs."""

    port: int
    supervisor_port: int
    data_dir: Path
    log_dir: Path
    models_dir: Path
    run_dir: Path
    disk_reserve_bytes: int


@dataclass(frozen=True)
class Site:
    """One installation. Another `root` than / is a system that does not run, such as a mounted SD card."""

    project: Path = PROJECT
    root: Path = Path("/")
    unit_path: Path | None = None  # a unit file to examine instead of the installed one

    @cached_property
    def unit(self) -> UnitFile | None:
        """pivision.service as systemd sees it; None if it is not installed. Raises OSError."""
        return unit_file.read(self.unit_path) if self.unit_path else unit_file.find(self.root, UNIT)

    @cached_property
    def settings(self) -> Settings:
        """What holds for the appliance. While its own reader cannot be asked: what can be read, and the defaults."""
        try:
            given = self.ask("settings")
        except NoAnswer:
            given = self._settings_without_packages()
        defaults: dict[str, int | Path] = {
            "port": 8080,
            "supervisor_port": 9001,
            "data_dir": self.project / "data",
            "log_dir": self.project / "logs",
            "models_dir": self.project / "models",
            "run_dir": self.project / "run",
            "disk_reserve_bytes": 256 << 20,
        }
        values: dict[str, Any] = {
            name: self._converted(given.get(f"PIVISION_{name.upper()}"), default) for name, default in defaults.items()
        }
        return Settings(**values)

    @cached_property
    def user(self) -> str:
        """Whose PiVision is: the unit's user, else the folder's owner, or of the data where that is root's."""
        return (self.unit and self.unit.value("Service", "User")) or self.account.pw_name

    @cached_property
    def account(self) -> User:
        """The user as whom root looks into the folders of PiVision: that of the installed unit, else their owner."""
        with contextlib.suppress(KeyError):
            if self.unit and self.root == Path("/") and not self.unit_path:  # not of another system, or of any file
                return pwd.getpwnam(self.unit.value("Service", "User"))
        return privileges.user_of(self.project, self._data_dir_without_packages)

    @property
    def python(self) -> Path:
        """The Python of the environment with all packages."""
        return self.project / ".venv" / "bin" / "python"

    @property
    def is_booted(self) -> bool:
        """Whether this system runs, and under systemd, so that its services can be asked and stopped."""
        return self.root == Path("/") and Path("/run/systemd/system").is_dir()

    def ask(self, question: str, *arguments: str, timeout_seconds: float = _COMMAND_SECONDS) -> Any:
        """What pivision.probe answers in a process of its own: it may lack packages, hang, or die of a signal.

        Raises NoAnswer.
        """
        if not self.python.exists():
            raise NoAnswer("not installed yet")
        account = self.account if os.geteuid() == 0 and self.account.pw_uid != 0 else None
        command = [str(self.python), "-B", "-m", "pivision.probe", question, *arguments]
        try:
            probe = subprocess.run(
                command,
                cwd=self.project,
                env=self._environment(privileges.environment(account) if account else os.environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout_seconds,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=privileges.groups(account) if account else None,
            )
        except subprocess.TimeoutExpired:
            raise NoAnswer(f"no answer within {timeout_seconds:g} s") from None
        except OSError as error:
            raise NoAnswer(f"{self.python} does not start: {error.strerror}") from None
        if probe.returncode < 0:
            raise NoAnswer(f"its process died of {signal.Signals(-probe.returncode).name}")
        if probe.returncode > 0:
            raise NoAnswer((probe.stderr.strip().splitlines() or [f"exit status {probe.returncode}"])[-1])
        try:
            return json.loads(probe.stdout)
        except ValueError:
            raise NoAnswer("its answer is no JSON") from None

    def systemctl(self, *arguments: str) -> list[str]:
        """The lines that systemctl writes about the files below the root, whether they run or not."""
        return _lines("systemctl", f"--root={self.root}", "--no-legend", "--plain", *arguments)

    def active_states(self, *units: str) -> list[str]:
        """Of each unit: active, inactive, failed …; nothing when systemd does not run."""
        return _lines("systemctl", "is-active", *units) if self.is_booted else []

    def disable(self, unit: str) -> None:
        """Stop a unit and keep it from starting at boot. Raises OSError or SubprocessError."""
        how = ["disable", "--now"] if self.is_booted else [f"--root={self.root}", "disable"]
        _do("systemctl", *how, unit)

    def enable(self, unit: str) -> None:
        """Let a unit start at boot. Raises OSError or SubprocessError."""
        _do("systemctl", *([] if self.is_booted else [f"--root={self.root}"]), "enable", unit)

    def _environment(self, shell: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The settings that the unit gives to the service, which a shell does not have; what it does have wins."""
        lines = self.unit.values("Service", "Environment") if self.unit else []
        pairs = [word.partition("=") for line in lines for word in shlex.split(line)]
        return {**{name: value for name, _, value in pairs if name.startswith("PIVISION_")}, **shell}

    def _settings_without_packages(self) -> dict[str, object]:
        environment = self._environment()
        file = Path(environment.get("PIVISION_CONFIG", self.project / "pivision.toml"))
        try:
            in_file = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):  # the check of the settings says so
            in_file = {}
        return {**{f"PIVISION_{name.upper()}": value for name, value in in_file.items()}, **environment}

    def _data_dir_without_packages(self) -> Path:
        return self.project / str(self._settings_without_packages().get("PIVISION_DATA_DIR", "data"))

    def _converted(self, value: object, default: int | Path) -> int | Path:
        try:
            if value is None:
                return default
            return self.project / str(value) if isinstance(default, Path) else int(str(value))
        except ValueError:
            return default


def as_its_user(check: Callable[[Site], Findings]) -> Callable[[Site], Findings]:
    """Let a check that looks into PiVision's folders do so as their user, when root calls it. It can offer no fix."""

    @functools.wraps(check)
    def looked(site: Site) -> Findings:
        _ = site.settings, site.unit  # read once, and not in each child
        found = privileges.as_user(site.account, lambda: [finding[:3] for finding in check(site)])
        return [Finding(*each) for each in found]

    return looked


def output(*command: str) -> str:
    """What a command of the system writes; empty if there is no such command, it fails, or it hangs."""
    return "\n".join(_lines(*command))


def _lines(*command: str) -> list[str]:
    try:
        run = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_COMMAND_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return run.stdout.splitlines()


def _do(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=_STOP_SECONDS)
