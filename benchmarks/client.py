"""An HTTP client that costs little: raw sockets, keep-alive, one thread that waits for all connections at once.

Each connection sends its next request when the last byte of the answer has come. The client runs in a process of its
own, so that it shares no interpreter with whatever it measures.
"""

import itertools
import multiprocessing
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

_CONTENT_LENGTH = b"content-length:"
_COMMENT_BYTES = 20


class Load(NamedTuple):
    """What to send: a request, its varying part, and for how long on how many connections."""

    port: int
    head: bytes  # request line and headers; Content-Length is that of the body
    body: bytes  # a JPEG whose comment is numbered, or nothing
    connections: int
    seconds: float


class Outcome(NamedTuple):
    """What came back."""

    per_second: float
    latencies_ms: list[float]
    failed: int  # anything but 200 or 201, and every connection that broke


@contextmanager
def process() -> Iterator[Callable[[Load], Outcome]]:
    """The client's process; call what it yields to put a load on a server."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield lambda load: pool.apply(_drive, (load,))


def numbered(jpeg: bytes, number: int) -> bytes:
    """The same picture with other bytes: a JPEG comment holds the number, so that each is a file of its own."""
    comment = b"\xff\xfe" + (_COMMENT_BYTES + 2).to_bytes(2, "big") + str(number).zfill(_COMMENT_BYTES).encode()
    return jpeg[:2] + comment + jpeg[2:]


class _Connection:
    def __init__(self, load: Load) -> None:
        self.socket = socket.create_connection(("127.0.0.1", load.port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0
        self._answer = b""

    def send(self, request: bytes) -> None:
        self._answer = b""
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """The status once the answer is whole; 0 when the connection broke."""
        try:
            data = self.socket.recv(65536)
        except OSError:
            return 0
        if not data:
            return 0
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end:
            return None
        length = int(head.lower().partition(_CONTENT_LENGTH)[2].partition(b"\r\n")[0] or 0)
        return int(head[9:12]) if len(body) >= length else None


def _drive(load: Load) -> Outcome:
    numbers = itertools.count(time.time_ns())
    latencies_ms: list[float] = []
    failed = 0

    def request() -> bytes:
        return load.head + (numbered(load.body, next(numbers)) if load.body else b"")

    poll = select.epoll()
    connections = [_Connection(load) for _ in range(load.connections)]
    by_descriptor = {connection.socket.fileno(): connection for connection in connections}
    for connection in connections:
        poll.register(connection.socket, select.EPOLLIN)
        connection.send(request())
    began = time.perf_counter()
    waiting = set(by_descriptor)
    while waiting:
        for descriptor, _events in poll.poll(30) or [(next(iter(waiting)), 0)]:
            connection = by_descriptor[descriptor]
            status = connection.receive() if _events else 0  # no sign of any for 30 s
            if status is None:
                continue
            now = time.perf_counter()
            latencies_ms.append((now - connection.sent_at) * 1000)
            failed += status not in (200, 201)
            if status and now - began < load.seconds:
                connection.send(request())
            else:
                waiting.discard(descriptor)
                poll.unregister(descriptor)
    seconds = time.perf_counter() - began
    for connection in connections:
        connection.socket.close()
    return Outcome(len(latencies_ms) / seconds, latencies_ms, failed)
