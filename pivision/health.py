"""Health: polls the server and every worker's heartbeat, and heals through supervisord.

Run as `python -m pivision.health --host HOST --port PORT --run-dir DIR`. Standard library only, and nothing of the
package but what is so itself: what watches over the others must be the smallest and the last to fail.
"""

import argparse
import collections
import contextlib
import datetime
import http.client
import json
import os
import select
import socket
import time
from pathlib import Path

from pivision import heartbeat, program
from pivision.healing import Finding, Patient, Remedy
from pivision.supervision import Program, Supervisor, Unreachable

_INTERVAL_SECONDS = 2.0
_TIMEOUT_SECONDS = 2.0
_SHORTEST_PAUSE_SECONDS = 0.02  # between two looks, when programs die one after the other
_ACTIONS_KEPT = 20
_REPORT_SECONDS = 30.0  # how old health.json may get while nothing changes
_ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104


class Health:
    """The rounds: look, heal, report, wait."""

    def __init__(self, host: str, port: int, run_dir: Path) -> None:
        self._address = ("127.0.0.1" if host in _ANY_ADDRESS else host, port)
        self._run_dir = run_dir
        self._report_file = run_dir / "health.json"
        self._supervisor = Supervisor(str(run_dir / "supervisor.sock"), _TIMEOUT_SECONDS)
        self._patients: dict[str, Patient] = {}
        self._programs: list[Program] = []
        self._actions = collections.deque(self._earlier_actions(), maxlen=_ACTIONS_KEPT)
        self._said: dict[str, str] = {}
        self._reported: tuple[float, object] = (0.0, None)
        self._log = program.begin("health")

    def run(self) -> None:
        """Go round for ever."""
        self._log.info("watching http://%s:%d and the workers", *self._address)
        while True:
            began = time.monotonic()
            self._round()
            self._wait(began + _INTERVAL_SECONDS)

    def _round(self) -> None:
        try:
            self._programs = [seen for seen in self._supervisor.programs() if seen.name != "health"]
        except Unreachable as error:
            self._programs = []
            self._say_once("supervisord", f"supervisord does not answer: {error}")
            return
        self._say_once("supervisord", "")
        for seen in self._programs:
            self._examine(seen)
        self._report()

    def _examine(self, seen: Program) -> None:
        patient = self._patients.setdefault(seen.name, Patient(seen.name))
        complaint = self._complaint(seen) if seen.state == "RUNNING" else None
        finding = patient.examine(seen, time.monotonic(), complaint)
        if finding is None:
            self._say_once(seen.name, "")
        elif seen.name == "server" and finding.remedy is Remedy.START and not self._is_port_free():
            self._say_once(seen.name, f"another program holds port {self._address[1]}; it is started once that is free")
        elif (pause_seconds := patient.pause_left(time.monotonic())) > 0:
            self._say_once(seen.name, f"{finding.cause}; the next {finding.remedy} waits", f"{pause_seconds:.0f} s")
        else:
            self._heal(patient, finding)

    def _heal(self, patient: Patient, finding: Finding) -> None:
        call = self._supervisor.kill if finding.remedy is Remedy.KILL else self._supervisor.start
        try:
            call(patient.name)
        except Unreachable as error:
            self._say_once(patient.name, f"{finding.remedy} failed: {error}")
            return
        patient.healed(time.monotonic())
        self._log.warning("%s: %s, because: %s", patient.name, finding.remedy, finding.cause)
        self._actions.append(
            {
                "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
                "program": patient.name,
                "remedy": finding.remedy,
                "cause": finding.cause,
            }
        )

    def _complaint(self, seen: Program) -> str | None:
        """What a running program's sign of life lacks."""
        if seen.name == "server":
            return self._poll_server()
        if seen.name.startswith("worker:"):
            return self._check_heartbeat(seen)
        return None

    def _poll_server(self) -> str | None:
        connection = http.client.HTTPConnection(*self._address, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("GET", "/healthz")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"/healthz gave no answer ({error or type(error).__name__})"
        finally:
            connection.close()
        return None if status == http.client.OK else f"/healthz answered {status}"

    def _check_heartbeat(self, seen: Program) -> str | None:
        last = heartbeat.read(self._run_dir, int(seen.name.rpartition("_")[2]))
        if last is None or last.pid != seen.pid:
            return "it has given no sign of life since it started"
        if last.is_fresh():
            return None
        return "its sign of life is overdue" + (f", it has task {last.task_id}" if last.task_id else "")

    def _is_port_free(self) -> bool:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as waitress binds
            probe.bind(("", self._address[1]))
            return True
        return False

    def _wait(self, until: float) -> None:
        """Wait for the next round; when a program dies before, let supervisord notice at once and look at once."""
        with contextlib.ExitStack() as stack:
            deaths = select.poll()
            for seen in self._programs:
                if seen.pid:
                    with contextlib.suppress(ProcessLookupError):
                        descriptor = os.pidfd_open(seen.pid)
                        stack.callback(os.close, descriptor)
                        deaths.register(descriptor, select.POLLIN)
            if deaths.poll(max(_SHORTEST_PAUSE_SECONDS, until - time.monotonic()) * 1000):
                time.sleep(_SHORTEST_PAUSE_SECONDS)  # supervisord reaps first; then the call makes it start the next
                with contextlib.suppress(*Unreachable):
                    self._supervisor.wake()

    def _say_once(self, about: str, what: str, details: str = "") -> None:
        """One log line for each new state of affairs, and none for its repetitions."""
        if what and self._said.get(about) != what:
            self._log.warning("%s: %s", about, f"{what} {details}".strip())
        self._said[about] = what

    def _report(self) -> None:
        content = {"programs": [seen._asdict() for seen in self._programs], "actions": list(self._actions)}
        reported_at, reported = self._reported
        if content != reported or heartbeat.boottime() - reported_at > _REPORT_SECONDS:
            self._reported = heartbeat.boottime(), content
            with contextlib.suppress(OSError):  # a full disk must not end the healing
                heartbeat.write_whole(self._report_file, {"boottime_seconds": round(self._reported[0]), **content})

    def _earlier_actions(self) -> list[dict[str, str]]:
        with contextlib.suppress(OSError, ValueError, KeyError):
            return list(json.loads(self._report_file.read_bytes())["actions"])
        return []


def main() -> None:
    """`python -m pivision.health --host HOST --port PORT --run-dir DIR`"""
    parser = argparse.ArgumentParser(prog="python -m pivision.health", description=__doc__)
    parser.add_argument("--host", required=True, help="the address that the server listens on")
    parser.add_argument("--port", required=True, type=int, help="its port")
    parser.add_argument("--run-dir", required=True, type=Path, help="where supervisor.sock and the heartbeats are")
    options = parser.parse_args()
    Health(options.host, options.port, options.run_dir).run()


if __name__ == "__main__":
    main()
