"""The signs of life: the server's answer on its port, and each worker's heartbeat.

Only what has been seen counts: where this process itself lacks a descriptor or memory, it knows nothing of the others.
"""

import http.client
from pathlib import Path

from pivision import heartbeat, listening
from pivision.port import is_free
from pivision.supervision import Program

_TIMEOUT_SECONDS = 2.0
_NO_ANSWER = (ConnectionError, TimeoutError, http.client.HTTPException)
"""What a server that is dead or stuck leads to; every other error is this machine's or this process's own lack."""


class Unknown(Exception):
    """Whether a program lives cannot be seen now; the text says why."""


class Signs:
    """Looks at what the programs show of themselves; each look ends within two seconds."""

    def __init__(self, host: str, port: int, run_dir: Path) -> None:
        self._host = host
        self._port = port
        self._run_dir = run_dir

    @property
    def url(self) -> str:
        """Where the server is asked."""
        return listening.url(listening.reachable_host(self._host), self._port)

    def complaint(self, running: Program) -> str | None:
        """What a running program's sign of life lacks; None: nothing. Raises Unknown."""
        if running.name == "server":
            return self._poll_server()
        if running.name.startswith("worker:"):
            return self._check_heartbeat(running)
        return None

    def is_serving(self) -> bool:
        """Whether the server answers."""
        try:
            return self._poll_server() is None
        except Unknown:
            return False

    def absence(self) -> str | None:
        """Why nothing can listen here, whatever the port; None if something can."""
        absence = listening.absence(self._host)
        return absence and f"{absence}; it is served once that has changed"

    def obstacle(self) -> str | None:
        """Why the server could not listen if it was started now; None if it could, or nobody knows."""
        if (absence := self.absence()) is not None:
            return absence
        try:
            is_held = not is_free(self._host, self._port)
        except OSError:
            return None
        return f"another program holds port {self._port}; it is started once that is free" if is_held else None

    def _poll_server(self) -> str | None:
        host = listening.reachable_host(self._host)
        connection = http.client.HTTPConnection(host, self._port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("GET", "/healthz")
            status = connection.getresponse().status
        except _NO_ANSWER as error:
            return f"/healthz gave no answer ({error or type(error).__name__})"
        except OSError as error:
            raise Unknown(self.absence() or f"it cannot be asked at {self.url}: {error}") from None
        finally:
            connection.close()
        return None if status == http.client.OK else f"/healthz answered {status}"

    def _check_heartbeat(self, running: Program) -> str | None:
        try:
            last = heartbeat.look(self._run_dir, int(running.name.rpartition("_")[2]))
        except OSError as error:
            raise Unknown(f"its sign of life cannot be read: {error}") from None
        if last is None or last.pid != running.pid:
            return "it has given no sign of life since it started"
        if last.is_fresh():
            return None
        return "its sign of life is overdue" + (f", it has task {last.task_id}" if last.task_id else "")
