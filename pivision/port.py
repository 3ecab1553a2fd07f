"""Who holds a port: the process, its command, and its systemd unit."""

import errno
import re
import socket
from pathlib import Path

import psutil

from pivision.errors import PortTaken

_UNIT = re.compile(r"([^/]+\.service)(?:/|$)", re.MULTILINE)


def require_free(host: str, port: int) -> None:
    """Raise PortTaken, which names the holder, if `host`:`port` cannot be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise PortTaken(f"{host}:{port} cannot be listened on: {error.strerror}") from None
            raise PortTaken(f"port {port} is held by {_holder(port)}") from None


def _holder(port: int) -> str:
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return _described(connection.pid)
    return "a process of another user (sudo ss -lntp names it)"


def _described(pid: int) -> str:
    try:
        command = " ".join(psutil.Process(pid).cmdline()[:4])
        groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    except (psutil.Error, OSError):
        return f"pid {pid}"
    units = _UNIT.findall(groups)
    if not units or units[-1].startswith("user@"):
        return f"pid {pid} ({command}), which belongs to no unit; stop it with: kill {pid}"
    return f"pid {pid} ({command}) of {units[-1]}; stop it with: sudo systemctl stop {units[-1]}"
