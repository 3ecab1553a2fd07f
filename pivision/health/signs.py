"""The signs of life: the server's answer on its port, each worker's heartbeat, and the folders that all live in."""

import http.client
from pathlib import Path

from pivision import heartbeat
from pivision.port import is_free, reachable_host
from pivision.supervision import Program

_TIMEOUT_SECONDS = 2.0


class Signs:
    """Looks at what the programs show of themselves; each look ends within two seconds."""

    def __init__(self, host: str, port: int, run_dir: Path) -> None:
        self.address = (reachable_host(host), port)
        self._run_dir = run_dir

    def complaint(self, running: Program) -> str | None:
        """What a running program's sign of life lacks; None: nothing."""
        if running.name == "server":
            return self._poll_server()
        if running.name.startswith("worker:"):
            return self._check_heartbeat(running)
        return None

    def is_serving(self) -> bool:
        """Whether the server answers."""
        return self._poll_server() is None

    def is_port_free(self) -> bool:
        """Whether the server could listen."""
        return is_free("", self.address[1])

    def _poll_server(self) -> str | None:
        connection = http.client.HTTPConnection(*self.address, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("GET", "/healthz")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"/healthz gave no answer ({error or type(error).__name__})"
        finally:
            connection.close()
        return None if status == http.client.OK else f"/healthz answered {status}"

    def _check_heartbeat(self, running: Program) -> str | None:
        last = heartbeat.read(self._run_dir, int(running.name.rpartition("_")[2]))
        if last is None or last.pid != running.pid:
            return "it has given no sign of life since it started"
        if last.is_fresh():
            return None
        return "its sign of life is overdue" + (f", it has task {last.task_id}" if last.task_id else "")
