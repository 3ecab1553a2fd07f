"""Requests per second: the appliance against the standard library's ThreadingHTTPServer.

GET /healthz, and POST of a JPEG of 100 KB, each time with other bytes, on 1, 4 and 32 keep-alive connections. The peer
does as little as can be: GET answers a few bytes of JSON; POST reads the body, writes it to a new file, and answers
after an fsync of that file. It checks nothing, names nothing, flushes no folder and keeps no row. It stands twice:
as it comes, header and body each in a packet of its own, and with its output buffered, which spares it the client's
delayed acknowledgement. The appliance does all of its work; only the worker is stopped, so that what is measured is
the server and not how it shares two cores with the vision.
"""

import http.server
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks import client, pictures
from benchmarks.table import median, percentile, show, spread, verdict
from tests.box import Box, eventually, running_box

CONNECTIONS = (1, 4, 32)
ROUNDS = 3
SECONDS = 1.0
IMAGE_BYTES = 100_000
GOAL = 20.0


class Handler(http.server.BaseHTTPRequestHandler):
    """The peer, as it comes."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def do_GET(self) -> None:
        """Answer."""
        self._answer(200)

    def do_POST(self) -> None:
        """Write the body to a file, durably, and answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        self._answer(201)

    def _answer(self, status: int) -> None:
        answer = b'{"status":"ok"}'
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Log nothing: the appliance logs no request either."""


class BufferedHandler(Handler):
    """The peer, each answer in one packet."""

    wbufsize = -1


def _serve(handler: type[Handler], folder: Path, port: Connection) -> None:
    handler.folder = folder
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    port.send(server.server_port)
    server.serve_forever()


@contextmanager
def _peer(handler: type[Handler]) -> Iterator[int]:
    """A ThreadingHTTPServer in a process of its own; its port."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="pv-peer-") as folder:
        process = context.Process(target=_serve, args=(handler, Path(folder), sender), daemon=True)
        process.start()
        try:
            yield receiver.recv()
        finally:
            process.kill()
            process.join()


def stop_worker(box: Box) -> None:
    """Stop it as its owner would; health leaves alone what a person stopped."""
    supervisorctl(box, "stop", "worker:*")
    eventually(lambda: box.programs()["worker:worker_1"].state == "STOPPED", "the worker has stopped")


def supervisorctl(box: Box, *arguments: str) -> None:
    """Run supervisorctl on this appliance."""
    socket = f"unix://{box.run_dir / 'supervisor.sock'}"
    command = [sys.executable, "-m", "supervisor.supervisorctl", "-s", socket, *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=box.folder)


def main() -> None:
    """Measure all three round by round and print the table."""
    jpeg = pictures.of_size(IMAGE_BYTES)
    outcomes: dict[tuple[str, int, str], list[client.Outcome]] = {}
    with running_box() as box, _peer(Handler) as plain, _peer(BufferedHandler) as buffered, client.process() as run:
        stop_worker(box)
        ports = {"PiVision": box.port, "ThreadingHTTPServer": plain, "the same, buffered": buffered}
        for _round in range(ROUNDS):
            for method, path, body in (("GET", "/healthz", b""), ("POST", "/v1/tasks?operations=codes", jpeg)):
                for connections in CONNECTIONS:
                    for name, port in ports.items():
                        load = client.Load(port, _head(method, path, body, box.token), body, connections, SECONDS)
                        outcomes.setdefault((method, connections, name), []).append(run(load))
    show(
        "HTTP: requests per second on keep-alive connections",
        f"GET /healthz, and POST of a JPEG of {len(jpeg) // 1000} KB, each a different file; {ROUNDS} interleaved "
        f"rounds of {SECONDS} s, medians (min-max). The peer's POST writes and fsyncs one file and nothing else; the "
        "appliance's worker is stopped meanwhile.",
        ["", "connections", "", "requests/s", "median ms", "p99 ms", "failed", "PiVision is x times"],
        [_row(outcomes, key) for key in outcomes],
    )


def _head(method: str, path: str, body: bytes, token: str) -> bytes:
    length = len(client.numbered(body, 0)) if body else 0
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token}",
        *([f"Content-Length: {length}", "Content-Type: image/jpeg"] if body else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _row(outcomes: dict[tuple[str, int, str], list[client.Outcome]], key: tuple[str, int, str]) -> list[str]:
    method, connections, name = key
    rates = [outcome.per_second for outcome in outcomes[key]]
    latencies_ms = [latency for outcome in outcomes[key] for latency in outcome.latencies_ms]
    failed = sum(outcome.failed for outcome in outcomes[key])
    said = ""
    if name != "PiVision":
        ours = [outcome.per_second for outcome in outcomes[method, connections, "PiVision"]]
        ratios = [mine / theirs for mine, theirs in zip(ours, rates, strict=True)]
        said = spread(ratios, 1)
        if (method, connections, name) == ("GET", 4, "ThreadingHTTPServer"):
            said += f"; {verdict(median(ratios), GOAL, at_least=True)}"
    elif connections == max(CONNECTIONS):
        said = f"failed: {verdict(failed, 0, digits=0)}"
    return [
        method,
        str(connections),
        name,
        spread(rates),
        f"{median(latencies_ms):.2f}",
        f"{percentile(latencies_ms, 99):.2f}",
        str(failed),
        said,
    ]
