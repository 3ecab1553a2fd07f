"""Who holds a port: the process, its command, and its systemd unit. Standard library only: /proc tells all of it."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pivision import listening
from pivision.errors import ConfigInvalid, PortTaken
from pivision.listening import listening_socket

_LISTEN = "0A"  # include/net/tcp_states.h
_UNIT = re.compile(r"([^/]+\.service)(?:/|$)", re.MULTILINE)
_COMMAND_WORDS = 4  # enough to know a program by; an argument further behind may be long, or a secret


class Holder(NamedTuple):
    """The process that listens on a port; what this user may not see is None."""

    pid: int | None
    command: str | None  # its first words
    unit: str | None  # such as pivision.service; None as well for a process that belongs to no unit
    user_unit: bool = False  # the unit is one of a user's own manager: systemctl --user

    def __str__(self) -> str:
        if self.pid is None:
            return f"a process of {self.unit}" if self.unit else "a process of another user (sudo ss -lntp names it)"
        command = f"pid {self.pid} ({self.command})" if self.command else f"pid {self.pid}"
        return f"{command} of {self.unit}" if self.unit else f"{command}, which belongs to no unit"

    @property
    def stop_command(self) -> str:
        """What a person types to stop it for now."""
        if self.pid is None:
            return f"sudo systemctl stop {self.unit}" if self.unit else "sudo ss -lntp"
        if self.pid == 1:  # systemd listens for a service that it starts at the first connection
            return "systemctl list-sockets"
        if self.user_unit:
            return f"systemctl --user stop {self.unit}"
        return f"sudo systemctl stop {self.unit}" if self.unit else f"kill {self.pid}"


def holder(port: int) -> Holder | None:
    """Who listens on the TCP `port`, at whichever address; None when nobody does."""
    listening = list(_listening(port))
    sockets = {inode for inode, _ in listening}
    if not sockets:
        return None
    pids = sorted(_pids_with(sockets), key=lambda pid: (pid == 1, pid))  # a service before systemd, which may share it
    return _described(pids[0]) if pids else Holder(None, None, _sandboxed_unit({uid for _, uid in listening}))


def is_free(host: str, port: int) -> bool:
    """Whether `host`:`port` is held by nobody. Raises OSError when that cannot be known, or `host` is not here."""
    try:
        listening_socket(host, port).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise
    return True


def require_free(host: str, port: int) -> None:
    """Raise PortTaken, which names the holder, or ConfigInvalid, if `host`:`port` cannot be listened on."""
    if (absence := listening.absence(host)) is not None:
        raise ConfigInvalid(f"host: {absence}")
    try:
        is_held = not is_free(host, port)
    except OSError as error:
        raise PortTaken(f"{host}:{port} cannot be listened on: {error.strerror}") from None
    if is_held:
        found = holder(port)
        if found is None:
            raise PortTaken(f"port {port} is held by a process that does not listen (sudo ss -antp)")
        raise PortTaken(f"port {port} is held by {found}; stop it with: {found.stop_command}")


def _listening(port: int) -> Iterator[tuple[str, int]]:
    """The inode number and the user of each socket that listens on `port`."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
            for line in Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9], int(fields[7])


def _pids_with(sockets: set[str]) -> Iterator[int]:
    """The processes that have one of `sockets` open, as far as this user may look."""
    wanted = {f"socket:[{inode}]" for inode in sockets}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # another user's, or just gone
            if any(_target(file) in wanted for file in (process / "fd").iterdir()):
                yield int(process.name)


def _sandboxed_unit(users: set[int]) -> str | None:
    """The one unit of this user that a socket of `users` can be of, though nobody but root sees its descriptors.

    So it is with a unit that has PrivateUsers=. None when there is no such unit, or more than one.
    """
    units = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if users == {os.geteuid()} == {process.stat().st_uid}:
                units |= {_unit_if_hidden(process)}
    units -= {None}
    return units.pop() if len(units) == 1 else None


def _unit_if_hidden(process: Path) -> str | None:
    try:
        next((process / "fd").iterdir(), process / "fd").readlink()
    except PermissionError:
        return unit_of((process / "cgroup").read_text(encoding="utf-8"))[0]
    return None


def _target(link: Path) -> str | None:
    try:
        return str(link.readlink())
    except OSError:  # closed just now
        return None


def _described(pid: int) -> Holder:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    except OSError:
        return Holder(pid, None, None)
    unit, is_users = unit_of(groups)
    return Holder(pid, " ".join(words[:_COMMAND_WORDS]).strip(), unit, is_users)


def unit_of(groups: str) -> tuple[str | None, bool]:
    """The unit that a process belongs to by its /proc/PID/cgroup, and whether that is one of a user's own manager.

    None for a program of somebody's session, whose only unit is the manager user@UID.service itself.
    """
    units = _UNIT.findall(groups)
    managers = [unit for unit in units if unit.startswith("user@")]
    if units == managers:
        return None, False
    return units[-1], bool(managers)
