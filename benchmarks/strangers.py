"""Strangers: 512 connections without a token, of each kind for some seconds, while an owner works.

The owner sends a small picture and reads his list, each on a new connection, and health asks /healthz. If the variable
PIVISION_BEFORE names a checkout of another version, the same is done to that one, side by side. The server runs alone:
how long /healthz takes shows what health would do to it.
"""

import contextlib
import http.client
import io
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
from PIL import Image

from benchmarks.table import median, percentile, show
from pivision import tokens
from pivision.config import ROOT
from tests.box import free_port

CONNECTIONS = 512
ADDRESSES = 8  # of the strangers, each with its share of the connections
KIND_SECONDS = 8.0
PAUSE_SECONDS = 0.05  # between two requests of the owner
_REST_SECONDS = 0.05  # of the strangers, between two pieces
_PIECE_BYTES = 8192  # so all of them together fill a Gigabit Ethernet
_JOINED_AT_ONCE = 25  # five hundred new connections in a second
P99_GOAL_MS = 100.0
SPOOL_GOAL_BYTES = 64 << 20

_POST = b"POST /v1/tasks?operations=codes HTTP/1.1\r\nHost: x\r\n"
_LENGTH = b"Content-Length: 20000000\r\n\r\n"


class Kind(NamedTuple):
    """What each of the strangers sends: something at once, then a piece again and again."""

    first: bytes
    then: bytes = b""
    reads: bool = True


KINDS = {
    "idle": Kind(b""),
    "slow head": Kind(b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"x"),
    "slow body": Kind(_POST + _LENGTH, b"x"),
    "unfinished upload": Kind(_POST + _LENGTH + bytes(600_000)),
    "endless upload": Kind(_POST + _LENGTH, bytes(_PIECE_BYTES)),
    "unread answer": Kind(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 50, reads=False),
    "giant chunk line": Kind(_POST + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * _PIECE_BYTES),
    "giant head": Kind(b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"x" * _PIECE_BYTES),
    "DeepStack form without a key": Kind(
        b"POST /v1/vision/detection HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n" + _LENGTH,
        bytes(_PIECE_BYTES),
    ),
    "wrong tokens": Kind(b"GET /v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\n\r\n" * 20),
}


class Outcome(NamedTuple):
    """What the owner and the machine saw."""

    owner_ms: list[float]
    failed: int
    health_ms: float  # the longest
    spool_bytes: int  # the most that lay in files without a name
    memory_bytes: int  # the most that the server had


def main() -> None:
    """Measure and print the table."""
    versions = {"this version": ROOT}
    if before := os.environ.get("PIVISION_BEFORE"):
        versions["before"] = Path(before)
    rows = []
    for name, kind in KINDS.items():
        for version, root in versions.items():
            found = _measure(root, kind)
            rows.append(
                [
                    name,
                    version,
                    f"{median(found.owner_ms):.1f}" if found.owner_ms else "-",
                    f"{percentile(found.owner_ms, 99):.1f}" if found.owner_ms else "-",
                    f"{found.failed} of {found.failed + len(found.owner_ms)}",
                    f"{found.health_ms:.0f}",
                    f"{found.spool_bytes / 1e6:.1f}",
                    f"{found.memory_bytes / 1e6:.0f}",
                ]
            )
    show(
        "Strangers",
        f"{CONNECTIONS} connections without a token from {ADDRESSES} addresses for {KIND_SECONDS:.0f} s of each kind, "
        f"opened again when they are closed. Goals: nothing failed, p99 below {P99_GOAL_MS:.0f} ms, at most "
        f"{SPOOL_GOAL_BYTES / 1e6:.0f} MB in files without a name.",
        ["kind", "", "owner, median ms", "p99 ms", "failed", "/healthz, longest ms", "spool, MB", "memory, MB"],
        rows,
    )


def _measure(root: Path, kind: Kind) -> Outcome:
    with _server(root) as (process, port, token):
        stop = threading.Event()
        crowd = subprocess.Popen(
            [sys.executable, "-c", f"from benchmarks import strangers; strangers.crowd({port}, {_name(kind)!r})"],
            cwd=ROOT,
        )
        spool, memory = [0], [0]
        watcher = threading.Thread(target=_watch, args=(process.pid, stop, spool, memory))
        watcher.start()
        try:
            time.sleep(1)  # until all have come
            outcome = _own(port, token)
        finally:
            stop.set()
            watcher.join()
            crowd.terminate()
            crowd.wait()
        return outcome._replace(spool_bytes=max(spool), memory_bytes=max(memory))


def _name(kind: Kind) -> str:
    return next(name for name, each in KINDS.items() if each is kind)


@contextlib.contextmanager
def _server(root: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, str]]:
    folder, port = Path(tempfile.mkdtemp(prefix="pv-")), free_port()
    token = tokens.create(folder / "data" / "secrets", "owner")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PIVISION_")},
        "PIVISION_HOST": "127.0.0.1",
        "PIVISION_PORT": str(port),
        "PIVISION_SUPERVISOR_PORT": str(free_port()),
        **{f"PIVISION_{name.upper()}_DIR": str(folder / name) for name in ("data", "log", "run", "models")},
        "TMPDIR": str(folder),
    }
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pivision.server"], cwd=root, env=environment, stdout=log, stderr=log
        )
        try:
            give_up = time.monotonic() + 20
            while time.monotonic() < give_up:
                with contextlib.suppress(OSError):
                    if _ask(port, token, "GET", "/v1/tasks") == 200:
                        break
                time.sleep(0.05)
            yield process, port, token
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(folder)


def _ask(port: int, token: str, method: str, path: str, body: bytes | None = None) -> int:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request(method, path, body, {"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        return answer.status


def _own(port: int, token: str) -> Outcome:
    """Work as an owner does, for the time of one kind."""
    took_ms: list[float] = []
    failed, health_ms, number = 0, 0.0, 0
    give_up = time.monotonic() + KIND_SECONDS
    while time.monotonic() < give_up:
        number += 1
        for method, path, body in (
            ("POST", "/v1/tasks?operations=codes", _picture(number)),
            ("GET", "/v1/tasks?limit=10", None),
            ("GET", "/healthz", None),
        ):
            began = time.monotonic()
            try:
                status = _ask(port, token, method, path, body)
            except (OSError, http.client.HTTPException):
                status = 0
            seconds = time.monotonic() - began
            if path == "/healthz":
                health_ms = max(health_ms, seconds * 1000)
            elif status in (200, 201):
                took_ms.append(seconds * 1000)
            else:
                failed += 1
        time.sleep(PAUSE_SECONDS)
    return Outcome(took_ms, failed, health_ms, 0, 0)


def _picture(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (number % 256, number // 256 % 256, 99)).save(file, "PNG")
    return file.getvalue()


def _watch(pid: int, stop: threading.Event, spool: list[int], memory: list[int]) -> None:
    process = psutil.Process(pid)
    while not stop.wait(0.2):
        total = 0
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if str(descriptor.readlink()).endswith("(deleted)"):
                    total += descriptor.stat().st_size
        spool.append(total)
        memory.append(process.memory_info().rss)


def crowd(port: int, name: str) -> None:
    """Be the strangers, until this process is ended."""
    kind = KINDS[name]
    selector = selectors.DefaultSelector()
    for number in range(CONNECTIONS):
        _join(selector, port, number, kind)
    gone: list[int] = []
    while True:
        for key, _ in selector.select(timeout=0.1):
            client = key.fileobj
            assert isinstance(client, socket.socket)
            try:
                is_gone = kind.reads and not client.recv(65536)
            except BlockingIOError:
                is_gone = False
            except OSError:
                is_gone = True
            if is_gone:
                selector.unregister(client)
                client.close()
                gone.append(key.data)
        for _ in range(min(len(gone), _JOINED_AT_ONCE)):
            _join(selector, port, gone.pop(), kind)
        if kind.then:
            for key in list(selector.get_map().values()):
                with contextlib.suppress(OSError):
                    key.fileobj.send(kind.then)  # type: ignore[union-attr]
        time.sleep(_REST_SECONDS)


def _join(selector: selectors.BaseSelector, port: int, number: int, kind: Kind) -> None:
    client = socket.socket()
    client.bind((f"127.0.4.{1 + number % ADDRESSES}", 0))
    client.settimeout(5)
    with contextlib.suppress(OSError):
        client.connect(("127.0.0.1", port))
        client.setblocking(False)
        client.send(kind.first)
    client.setblocking(False)
    if kind.reads:
        selector.register(client, selectors.EVENT_READ, number)
    else:
        _UNREAD.append(client)


_UNREAD: list[socket.socket] = []  # kept open
