"""Talks to supervisord over its Unix socket, each call bounded in time. Standard library only.

supervisor's own transport has no timeout and costs 6 MB of imports.
"""

import http.client
import socket
import xmlrpc.client
from typing import Any, NamedTuple, cast

Unreachable = (OSError, http.client.HTTPException, xmlrpc.client.Error)
"""What a call raises when supervisord is gone, stuck, or says no."""


_GONE_OR_STUCK = (ConnectionError, FileNotFoundError, TimeoutError, http.client.HTTPException, xmlrpc.client.Error)


def is_own_lack(error: Exception) -> bool:
    """Whether a call failed for want of descriptors or the like in this process, and says nothing of supervisord."""
    return not isinstance(error, _GONE_OR_STUCK)


class Program(NamedTuple):
    """One process that supervisord manages."""

    name: str  # as supervisorctl writes it: server, worker:worker_1
    state: str  # STOPPED STARTING RUNNING BACKOFF STOPPING EXITED FATAL
    pid: int  # 0 when it has none


class Supervisor:
    """supervisord behind the Unix socket at `socket_path`. Every method may raise one of `Unreachable`."""

    def __init__(self, socket_path: str, timeout_seconds: float) -> None:
        self._calls = xmlrpc.client.ServerProxy(
            "http://supervisord/RPC2", transport=_UnixTransport(socket_path, timeout_seconds)
        ).supervisor

    def programs(self) -> list[Program]:
        """Every process and its state."""
        infos = cast(list[dict[str, Any]], self._calls.getAllProcessInfo())
        return [Program(_full_name(info), info["statename"], info["pid"]) for info in infos]

    def kill(self, name: str) -> None:
        """SIGKILL, after which autorestart brings it back. A restart that is interrupted would leave it stopped."""
        self._calls.signalProcess(name, "KILL")

    def start(self, name: str) -> None:
        """Start what is FATAL or EXITED, without waiting until it runs."""
        self._calls.startProcess(name, False)

    def wake(self) -> None:
        """Make its loop turn: it reaps a dead program at once but starts it anew one turn later, in up to a second."""
        self._calls.getState()


def _full_name(info: dict[str, Any]) -> str:
    group, name = str(info["group"]), str(info["name"])
    return name if group == name else f"{group}:{name}"


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str, timeout_seconds: float) -> None:
        super().__init__()
        self._path = path
        self._timeout_seconds = timeout_seconds

    def request(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().request(*arguments, **options)
        finally:
            self.close()  # no connection is kept: supervisord may have been replaced until the next call

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _UnixConnection("localhost", timeout=self._timeout_seconds)
        connection.path = self._path
        self._connection = host, connection
        return connection


class _UnixConnection(http.client.HTTPConnection):
    path: str

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)
