"""A booted machine with PiVision beside one with the first plan: how soon each answers, and what each survives.

Both are containers with a systemd of their own, made of the same Debian and the same virtual environment, and struck in
turn. A machine has come back when its port 8080 answers and the next picture is done.
"""

import contextlib
import functools
import http.client
import io
import signal
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import pictures
from benchmarks.table import median, show, spread, verdict
from tests.machine.conftest import booted, install, sign_in
from tests.machine.machine import Machine

ROUNDS = 5
NEVER_SECONDS = 60.0
"""What has not come back by then does not come back: no time limit of either plan is longer."""

_LOOK_SECONDS = 0.005
_CALM_SECONDS = 2.0
_PLAN = Path(__file__).parent / "first_plan"


class Contender:
    """One of the two machines: its units, how its programs are found, how a picture is sent and asked for."""

    def __init__(self, name: str, machine: Machine, units: str, server: str, worker: str) -> None:
        self._picture = pictures.photograph(640, 480)
        self.name = name
        self.machine = machine
        self.units = units
        self.programs = {"server": server, "worker": worker}

    def answers(self) -> bool:
        """Whether port 8080 does."""
        return self.machine.get("/", timeout=1).status == http.client.OK

    def works(self) -> bool:
        """Whether a picture that is sent now is done within a second; waits no longer."""
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            if self.machine.token:
                answer = self.machine.post(self._picture, wait=1)
                return answer.status == http.client.CREATED and answer.json["state"] == "done"
            task = self.machine.request("POST", "/", self._picture, timeout=1).body.decode()
            give_up = time.monotonic() + 1
            while time.monotonic() < give_up:
                if self.machine.get(f"/{task}", timeout=1).body == b"done":
                    return True
        return False

    def is_back(self) -> bool:
        """Whether all of it is."""
        return self.answers() and self.works()

    def strike(self, program: str, number: signal.Signals) -> None:
        """Send a signal to a program."""
        self.machine.run("pkill", f"-{number.name.removeprefix('SIG')}", "--full", self.programs[program])


def main() -> None:
    """Measure, and print the tables."""
    with _pivision() as ours, _first_plan() as theirs:
        contenders = (ours, theirs)
        timed: dict[str, Callable[[Contender], float]] = {
            "systemctl start, to the first 200": _start,
            "kill -9 of the server, to its next 200": functools.partial(_kill, "server"),
            "kill -9 of the worker, to the next picture done": functools.partial(_kill, "worker"),
            "reboot, to the first 200": _reboot,
        }
        seconds = {what: _in_turn(contenders, measure) for what, measure in timed.items()}
        fates: dict[str, Callable[[Contender], None]] = {
            "server killed six times, each as soon as it was back": _kill_six_times,
            "server frozen": lambda contender: contender.strike("server", signal.SIGSTOP),
            "worker frozen": lambda contender: contender.strike("worker", signal.SIGSTOP),
            "started while the port was held for 20 s": _hold_port,
        }
        fate = {what: [_survives(contender, strike) for contender in contenders] for what, strike in fates.items()}
    show(
        "Boot: seconds",
        f"{ROUNDS} rounds, in turn; median (min-max).",
        ["", ours.name, theirs.name, "goal: not slower"],
        [
            [what, spread(mine, 2), spread(others, 2), verdict(median(mine), round(median(others), 2), digits=2)]
            for what, (mine, others) in seconds.items()
        ],
    )
    show(
        "Boot: what each comes back from",
        f"Seconds until a picture is done again; never: not within {NEVER_SECONDS:g} s.",
        ["", ours.name, theirs.name],
        [[what, *outcomes] for what, outcomes in fate.items()],
    )


def _in_turn(
    contenders: tuple[Contender, Contender], measure: Callable[[Contender], float]
) -> tuple[list[float], list[float]]:
    rounds = [[measure(contender) for contender in contenders] for _ in range(ROUNDS)]
    mine, others = zip(*rounds, strict=True)
    return list(mine), list(others)


def _start(contender: Contender) -> float:
    contender.machine.run("systemctl", "stop", *contender.units.split())
    began = time.monotonic()
    contender.machine.run("systemctl", "start", *contender.units.split())
    return _until(contender.answers, began)


def _kill(program: str, contender: Contender) -> float:
    _until(contender.is_back, time.monotonic())
    time.sleep(_CALM_SECONDS)
    began = time.monotonic()
    contender.strike(program, signal.SIGKILL)
    return _until(contender.answers if program == "server" else contender.works, began)


def _reboot(contender: Contender) -> float:
    contender.machine.power_off()
    began = time.monotonic()
    contender.machine.boot()
    return _until(contender.answers, began)


def _kill_six_times(contender: Contender) -> None:
    for _ in range(6):
        if _until(contender.answers, time.monotonic()) < NEVER_SECONDS:
            contender.strike("server", signal.SIGKILL)


def _hold_port(contender: Contender) -> None:
    machine = contender.machine
    machine.run("systemctl", "stop", *contender.units.split())
    machine.run("systemd-run", "timeout", "20", "python3", "-m", "http.server", "8080")
    _until(contender.answers, time.monotonic())
    machine.run("systemctl", "start", "--no-block", *contender.units.split())
    time.sleep(20)


def _survives(contender: Contender, strike: Callable[[Contender], None]) -> str:
    _until(contender.is_back, time.monotonic())
    strike(contender)
    began = time.monotonic()
    seconds = _until(contender.is_back, began)
    if seconds < NEVER_SECONDS:
        return f"{seconds:.1f}"
    contender.machine.run("systemctl", "reset-failed", check=False)  # by hand, so that the next fault finds it well
    contender.machine.run("systemctl", "kill", "--signal=KILL", *contender.units.split(), check=False)
    contender.machine.run("systemctl", "restart", *contender.units.split())
    return "never"


def _until(is_so: Callable[[], bool], began: float) -> float:
    while not is_so():
        if time.monotonic() - began > NEVER_SECONDS:
            return NEVER_SECONDS
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - began


@contextlib.contextmanager
def _pivision() -> Iterator[Contender]:
    with booted() as machine:
        install(machine)
        sign_in(machine)
        yield Contender("PiVision", machine, "pivision", "pivision.server", "pivision.worker")


@contextlib.contextmanager
def _first_plan() -> Iterator[Contender]:
    with booted() as machine:
        install(machine)
        machine.run("systemctl", "disable", "--now", "pivision")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(_PLAN, "first_plan")
        machine.run("tar", "--extract", "--directory=/home/djg", user="djg", stdin=packed.getvalue())
        machine.run("sh", "-c", "cp /home/djg/first_plan/*.service /etc/systemd/system")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "enable", "--now", "pivision-server", "pivision-worker")
        yield Contender(
            "first plan", machine, "pivision-server pivision-worker", "backend[.]server", "backend[.]worker"
        )
