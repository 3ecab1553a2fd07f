"""A user of this machine, and commands run as that user: bounded in time, and not in the caller's environment."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pivision.errors import InstallationFailed

Command = Sequence[str | Path]
"""A program and its arguments."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LAST_LINES = 12  # of what a failed command has said


class Account(NamedTuple):
    """Who a command runs as."""

    name: str
    uid: int
    gid: int
    home: str

    def run(self, command: Command, timeout_seconds: float, *, cwd: Path = Path("/"), is_shown: bool = False) -> str:
        """Run `command` as this user and return its standard output; with `is_shown` it goes to the terminal instead.

        Raises InstallationFailed, with the end of what it said, when it fails or takes too long.
        """
        finished = self.attempt(command, timeout_seconds, cwd=cwd, is_shown=is_shown)
        if finished.returncode:
            said = "\n".join((finished.stderr or finished.stdout or "").strip().splitlines()[-_LAST_LINES:])
            raise InstallationFailed(
                f"{_shown(command)} ended with {finished.returncode}" + (f":\n{said}" if said else "")
            )
        return finished.stdout or ""

    def attempt(
        self, command: Command, timeout_seconds: float, *, cwd: Path = Path("/"), is_shown: bool = False
    ) -> "subprocess.CompletedProcess[str]":
        """Run `command` as this user, whatever it ends with. Raises InstallationFailed when it takes too long."""
        is_someone_else = self.uid != os.geteuid()
        try:
            return subprocess.run(
                command,
                cwd=cwd,
                env=self._environment(),
                user=self.uid if is_someone_else else None,
                group=self.gid if is_someone_else else None,
                extra_groups=os.getgrouplist(self.name, self.gid) if is_someone_else else None,
                umask=0o022,
                stdin=subprocess.DEVNULL,
                capture_output=not is_shown,
                text=True,
                timeout=timeout_seconds,
            )
        except subprocess.TimeoutExpired:
            raise InstallationFailed(f"{_shown(command)} took longer than {timeout_seconds:g} s") from None
        except OSError as error:
            raise InstallationFailed(f"{_shown(command)} cannot be run: {error}") from None

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": _PATH,
            "HOME": self.home,
            "USER": self.name,
            "LOGNAME": self.name,
            "LANG": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            "GIT_TERMINAL_PROMPT": "0",  # git must fail, not ask for a password
            "PYTHONUNBUFFERED": "1",
            **{name: value for name, value in os.environ.items() if _tells_source(name)},
        }


def _tells_source(variable: str) -> bool:
    """Whether it says where downloads come from, which the caller knows best."""
    return variable.lower().endswith("_proxy") or variable == "PIVISION_MODEL_MIRROR"


def named(name: str) -> Account:
    """The account of this name. Raises InstallationFailed when there is none."""
    try:
        return _account(pwd.getpwnam(name))
    except KeyError:
        raise InstallationFailed(f"there is no user {name!r} on this machine") from None


def caller() -> Account:
    """Return the account of whoever runs this."""
    return _account(pwd.getpwuid(os.geteuid()))


def owner_of(path: Path) -> Account:
    """The account that owns `path`. Raises InstallationFailed when its number has no name."""
    uid = path.stat().st_uid
    try:
        return _account(pwd.getpwuid(uid))
    except KeyError:
        raise InstallationFailed(f"{path} belongs to the user number {uid}, who has no name on this machine") from None


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)


def _shown(command: Command) -> str:
    return " ".join(str(word) for word in command)
