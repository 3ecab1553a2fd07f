"""`python -m pivision drill`: the faults that are safe on a box in use, one after the other, with a report.

Each kills or freezes a program while tasks are under way, and then only waits: the box must mend itself. Afterwards
every task that was acknowledged must be done, with the right answer. Needs the user who owns the programs.
"""

import contextlib
import functools
import http.client
import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import zxingcpp

from pivision import instance, tokens
from pivision.config import Settings
from pivision.errors import NotRunning
from pivision.listening import reachable_host
from pivision.port import unit_of
from pivision.supervision import Program, Supervisor, Unreachable

_TASKS = 6  # around each fault: half of them before, half of them while the box mends itself
_TOKEN = "drill"  # noqa: S105  # the name of the token
_TIMEOUT_SECONDS = 10.0
_LOOK_SECONDS = 0.1
_FINISH_SECONDS = 120.0


class Fault(NamedTuple):
    """What is done to which program, and how many seconds the box may take to be as before."""

    program: str  # server, worker, health, supervisord
    signal: signal.Signals
    within_seconds: float


FAULTS = {
    "server-killed": Fault("server", signal.SIGKILL, 10),
    "worker-killed": Fault("worker", signal.SIGKILL, 10),
    "health-killed": Fault("health", signal.SIGKILL, 10),
    "server-frozen": Fault("server", signal.SIGSTOP, 60),
    "worker-frozen": Fault("worker", signal.SIGSTOP, 120),
    "health-frozen": Fault("health", signal.SIGSTOP, 90),
    "supervisord-killed": Fault("supervisord", signal.SIGKILL, 30),
    "supervisord-frozen": Fault("supervisord", signal.SIGSTOP, 90),
}
"""The last three are systemd's to mend: they are left out when the appliance runs in a terminal."""

_SYSTEMD_MENDS = {"health-frozen", "supervisord-killed", "supervisord-frozen"}


class Outcome(NamedTuple):
    """What came of one fault."""

    fault: str
    expected_seconds: float
    seen_seconds: float | None  # until every program ran anew and /readyz said 200; None: not in time
    acknowledged: int
    lost: int  # tasks that are not done, or not with the right answer

    @property
    def is_passed(self) -> bool:
        """Whether the box has mended itself in time and lost nothing."""
        return self.seen_seconds is not None and not self.lost


class Drill:
    """The drill on one running appliance. Raises NotRunning when there is none."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._supervisor = Supervisor(str(settings.run_dir / "supervisor.sock"), timeout_seconds=2)
        self._token = ""
        if not self._is_ready():
            raise NotRunning(f"nothing is ready to work on port {settings.port}")

    def faults(self, names: list[str]) -> list[str]:
        """Of these names of faults, or of all, those that can be mended here."""
        is_under_systemd = unit_of(_groups(self._pids("supervisord")[0]))[0] is not None
        return [name for name in names or FAULTS if is_under_systemd or name not in _SYSTEMD_MENDS]

    def run(self, names: list[str]) -> Iterator[Outcome]:
        """Do one fault after the other; an access token exists meanwhile."""
        self._token = tokens.create(self._settings.secrets_dir, _TOKEN)
        try:
            for name in names:
                yield self._outcome(name)
        finally:
            tokens.remove(self._settings.secrets_dir, _TOKEN)

    def _outcome(self, name: str) -> Outcome:
        fault = FAULTS[name]
        ledger: dict[int, str] = {}
        for _ in range(_TASKS // 2):
            self._post(ledger)
        struck = self._pids(fault.program)
        began = time.monotonic()
        for pid in struck:
            os.kill(pid, fault.signal)
        posted_until = began + fault.within_seconds
        while len(ledger) < _TASKS and time.monotonic() < posted_until:
            self._post(ledger)
        seen_seconds = None
        if _wait(lambda: self._is_mended(fault.program, struck), began + fault.within_seconds):
            seen_seconds = round(time.monotonic() - began, 1)
        give_up = time.monotonic() + _FINISH_SECONDS
        right = [_wait(functools.partial(self._is_right, *entry), give_up) for entry in ledger.items()]
        return Outcome(name, fault.within_seconds, seen_seconds, len(ledger), right.count(False))

    def _pids(self, program: str) -> list[int]:
        """The processes of a program: one for each worker."""
        if program == "supervisord":
            found = instance.running(self._settings.run_dir)
            return [found.pid] if found else []
        return [seen.pid for seen in self._programs() if seen.pid and seen.name.partition(":")[0] == program]

    def _programs(self) -> list[Program]:
        with contextlib.suppress(*Unreachable):
            return self._supervisor.programs()
        return []

    def _is_mended(self, program: str, struck: list[int]) -> bool:
        programs = self._programs()
        is_all_running = bool(programs) and all(seen.state == "RUNNING" for seen in programs)
        return is_all_running and not set(struck) & set(self._pids(program)) and self._is_ready()

    def _is_ready(self) -> bool:
        return self._request("GET", "/readyz")[0] == http.client.OK

    def _post(self, ledger: dict[int, str]) -> None:
        """Send one picture; what is acknowledged goes into the ledger."""
        text = secrets.token_hex(8)
        status, content = self._request("POST", "/v1/tasks?operations=codes", _qr_code(text))
        if status == http.client.CREATED:
            ledger[int(content["id"])] = text
        else:
            time.sleep(_LOOK_SECONDS)

    def _is_right(self, task_id: int, text: str) -> bool:
        _, task = self._request("GET", f"/v1/tasks/{task_id}")
        if not task or task.get("state") != "done":
            return False
        return [code["text"] for code in task["result"]["codes"]["codes"]] == [text]

    def _request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Status and content; 0 when there was no answer."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "image/png"}
        host = reachable_host(self._settings.host)
        connection = http.client.HTTPConnection(host, self._settings.port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            return 0, None
        finally:
            connection.close()


def table(outcomes: list[Outcome]) -> Iterator[str]:
    """The report, for people."""
    yield f"{'fault':<20} {'expected':>9} {'seen':>9} {'acknowledged':>13} {'lost':>5}"
    for outcome in outcomes:
        seen = "never" if outcome.seen_seconds is None else f"{outcome.seen_seconds:.1f} s"
        verdict = "passed" if outcome.is_passed else "FAILED"
        expected = f"{outcome.expected_seconds:g} s"
        yield f"{outcome.fault:<20} {expected:>9} {seen:>9} {outcome.acknowledged:>13} {outcome.lost:>5}  {verdict}"


def _wait(is_so: Callable[[], bool], until: float) -> bool:
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def _qr_code(text: str) -> bytes:
    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode)
    picture = np.array(code.to_image(scale=4, add_quiet_zones=True))
    return bytes(cv2.imencode(".png", picture)[1])


def _groups(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
