"""A real appliance in a folder of its own: supervisord, server, workers and health, on ports of their own.

The tests and the benchmarks drive it as its owner would: over HTTP, with signals, through supervisord.
"""

import contextlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psutil

from pivision import tokens
from pivision.config import ROOT
from pivision.supervision import Program, Supervisor, Unreachable

T = TypeVar("T")

START_SECONDS = 30.0


class Answer(NamedTuple):
    """What the server said."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Somebody with a token. Whoever is one says how to connect."""

    token: str

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        """A new connection to the appliance, to be closed by the caller."""
        raise NotImplementedError

    def unfinished(self) -> int | None:
        """How many tasks are waiting or at work; None while the appliance does not tell."""
        answer = self.get("/v1/system")
        return answer.json["tasks"]["queued"] + answer.json["tasks"]["running"] if answer.status == 200 else None

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, *, timeout: float = 30
    ) -> Answer:
        """One request on a connection of its own, with the token unless the headers say otherwise."""
        connection = self.connection(timeout)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {self.token}", **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path: str, timeout: float = 5) -> Answer:
        """GET; status 0 when there was no answer."""
        try:
            return self.request("GET", path, timeout=timeout)
        except (OSError, http.client.HTTPException):
            return Answer(0, http.client.HTTPMessage(), b"")

    def post(self, image: bytes, operations: str = "codes", wait: float = 0, **headers: str) -> Answer:
        """Make a task of a picture, sent as the raw body."""
        path = f"/v1/tasks?operations={operations}&wait={wait}"
        return self.request("POST", path, image, {"Content-Type": "application/octet-stream", **headers})

    def task(self, task_id: int) -> Any:
        return self.request("GET", f"/v1/tasks/{task_id}").json

    def tasks(self) -> list[dict[str, Any]]:
        """Every task there is, newest first."""
        tasks: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self._page(f"/v1/tasks?limit=200{cursor}")
            tasks += page["tasks"]
            if page["next"] is None:
                return tasks
            cursor = f"&cursor={page['next']}"

    def _page(self, path: str) -> Any:
        """One page, asked for until it comes."""
        return eventually(lambda: (answer := self.get(path)).status == 200 and answer.json, f"an answer to {path}")

    def finished(self, task_id: int, timeout: float = 60) -> Any:
        """The task once nothing more happens to it."""

        def look() -> Any:
            answer = self.get(f"/v1/tasks/{task_id}")
            return answer.json if answer.status == 200 and answer.json["finished_at"] else None

        return eventually(look, f"task {task_id} has finished", timeout)


class Box(Client):
    """One appliance. `settings` are those of pivision.config.Settings; `environment` reaches the programs as it is."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None, **settings: object) -> None:
        self.folder = folder
        self.port = free_port()
        self.address = "127.0.0.1"  # where it is asked
        self.data_dir = folder / "data"
        self.log_dir = folder / "logs"
        self.run_dir = folder / "run"
        mine: dict[str, object] = {
            "host": "127.0.0.1",
            "port": self.port,
            "supervisor_port": free_port(),
            "data_dir": self.data_dir,
            "log_dir": self.log_dir,
            "run_dir": self.run_dir,
            "models_dir": folder / "models",
            "model_mirror": folder / "nothing",  # no test asks the network
            "workers": 1,
            **settings,
        }
        self.web_port = int(str(mine["supervisor_port"]))
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("PIVISION_")}
        self.environment.update({f"PIVISION_{name.upper()}": str(value) for name, value in mine.items()})
        self.environment.update(environment or {})
        self.supervisor = Supervisor(str(self.run_dir / "supervisor.sock"), timeout_seconds=5)
        self.token = tokens.create(self.data_dir / "secrets", "test")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, until_ready: bool = True, unattended: bool = True) -> None:
        """Start supervisord as systemd does, or (not unattended) as `make run` does."""
        output = (self.folder / "supervisord.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pivision", "run", *(["--unattended"] if unattended else [])],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        output.close()
        if until_ready:
            eventually(lambda: self.get("/readyz").status == 200, "the appliance is ready", START_SECONDS)

    def stop(self) -> None:
        """End it as systemd does; every program must be gone afterwards."""
        if self.process is None:
            return
        pids = self.pids()
        self.process.terminate()
        self.process.wait(timeout=45)
        self.process = None
        eventually(lambda: not any(is_alive(pid) for pid in pids), "every program has ended", 10)

    def programs(self) -> dict[str, Program]:
        """What supervisord says of its programs; empty while it does not answer."""
        try:
            return {program.name: program for program in self.supervisor.programs()}
        except Unreachable:
            return {}

    def pids(self) -> list[int]:
        return [program.pid for program in self.programs().values() if program.pid]

    def processes(self) -> list[psutil.Process]:
        """supervisord and every process below it."""
        if self.process is None:
            return []
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def supervisorctl(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """What a person types to look at the programs, to stop and to start them."""
        program, conf = Path(sys.executable).with_name("supervisorctl"), ROOT / "conf" / "supervisord.conf"
        return subprocess.run(
            [program, "-c", conf, "-s", f"unix://{self.run_dir / 'supervisor.sock'}", *command],
            capture_output=True,
            text=True,
            timeout=60,
        )

    def pid(self, name: str) -> int:
        """The process of a program that is running."""
        return eventually(
            lambda: (p := self.programs().get(name)) and p.state == "RUNNING" and p.pid, f"{name} is running"
        )

    def signal(self, name: str, number: signal.Signals) -> int:
        """Send a signal to a program of ours and return the pid that it went to.

        For a moment after a death, supervisord still gives the pid of the dead.
        """

        def send() -> int | None:
            pid = self.pid(name)
            with contextlib.suppress(ProcessLookupError):
                if is_alive(pid):
                    os.kill(pid, number)
                    return pid
            return None

        return eventually(send, f"{name} gets {number.name}")

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address, self.port, timeout=timeout)

    def images(self) -> set[str]:
        """The names of the images that are kept, without their previews."""
        return {path.name for path in (self.data_dir / "images").rglob("*") if path.is_file() and not path.suffix}

    def log(self, name: str) -> str:
        """What a program has written: server, health, worker_1, or supervisord itself."""
        file = self.folder / "supervisord.log" if name == "supervisord" else self.log_dir / f"{name}.log"
        return file.read_text() if file.exists() else ""

    def logs(self) -> str:
        """Everything, for the message of a test that failed."""
        names = ["supervisord", *sorted(file.stem for file in self.log_dir.glob("*.log"))]
        return "\n".join(f"--- {name}\n{self.log(name)}" for name in names)


@contextlib.contextmanager
def running_box(environment: dict[str, str] | None = None, *, start: bool = True, **settings: object) -> Iterator[Box]:
    """An appliance for one test: started, and ended with all that belongs to it."""
    folder = Path(tempfile.mkdtemp(prefix="pv-"))  # short: Unix sockets have paths of at most 107 bytes
    box = Box(folder, environment, **settings)
    try:
        if start:
            box.start()
        yield box
    except BaseException:
        print(box.logs())
        raise
    finally:
        try:
            box.stop()
        finally:
            shutil.rmtree(folder)


def eventually(look: Callable[[], T | None], what: str, timeout: float = 30.0) -> T:
    """Look until there is something, and return it; fail when it takes longer than `timeout` seconds."""
    give_up = time.monotonic() + timeout
    while not (seen := look()):
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(0.02)
    return seen


def free_port() -> int:
    """A port that nobody listens on, and that no outgoing connection is given either.

    Clients that knock at the port of a dead server are given ports themselves: one of them could get that very port,
    be connected to itself, and keep the next server from listening.
    """
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, first_outgoing)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return not re.search(r"\) [ZX] ", stat)
