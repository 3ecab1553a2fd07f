"""One connection: its pace is watched, what is refused is heard out for a moment, and large answers are not copied."""

import contextlib
import io
import ipaddress
import socket
import time
from typing import Any, NamedTuple

from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.task import WSGITask

from pivision.wire.admission import RECOGNIZE, Environment, Gatekeeper
from pivision.wire.pace import Pace
from pivision.wire.parser import Bounds, Parser

_BODY_READ_BYTES = 64 << 10
_SENT_BYTES = 256 << 10  # read from a file at once; the kernel's buffer may be ten times as large
_COPIED_BYTES = 16 << 10  # smaller answers are joined into one piece
_LINGER_SECONDS = 5.0
_LINGER_BYTES = 64 << 20
_STRANGERS_LINGER_BYTES = 8 << 20  # a photograph


class Timing(NamedTuple):
    """How long a connection may take for what."""

    head_seconds: float
    idle_seconds: float  # between two requests
    min_bytes_per_second: float  # of a body, and of an answer
    window_seconds: float  # over which that rate is taken


class RequestTask(WSGITask):  # type: ignore[misc]  # waitress has no types
    """A request to the application, with what is known of it and of its connection."""

    def get_environment(self) -> Environment:
        """Return the WSGI environment."""
        environment: Environment = super().get_environment()
        environment[RECOGNIZE] = self.channel.recognize
        environment.update(self.request.extra)
        return environment


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection.

    `is_recognized`: a request on it has shown a valid token.
    `is_held`: its next request waits until the answer before was read.
    `has_refused`: a request was refused before it had arrived in whole.
    `since`: when the connection began to do what it does now, of time.monotonic().
    """

    task_class = RequestTask
    request: Parser | None
    close_when_flushed: bool
    will_close: bool
    connected: bool
    sendbuf_len: int
    requests: list[Parser]
    total_outbufs_len: int

    def __init__(self, server: Any, sock: socket.socket, addr: Any, adj: Any, **options: Any) -> None:
        self.address = group_of(addr[0])
        self.bounds: Bounds = server.bounds
        self.gatekeeper: Gatekeeper = server.gatekeeper
        self.is_recognized = False
        self.has_refused = False
        self.since = time.monotonic()
        self._timing: Timing = server.timing
        self._pace = Pace(self._timing.min_bytes_per_second, self._timing.window_seconds)
        self._answered = 0
        self._phase: tuple[str, int] | None = None  # until the first tick
        self.is_held = False
        self._is_lingering = False
        self._linger_bytes = 0
        super().__init__(server, sock, addr, adj, **options)
        self.sendbuf_len = min(self.sendbuf_len, _SENT_BYTES)

    def parser_class(self, adj: Any) -> Parser:
        """Return a parser for the next request."""
        return Parser(adj, self)

    def environment(self, request: Parser) -> Environment:
        """Return the WSGI environment of a request."""
        environment: Environment = self.task_class(self, request).get_environment()
        return environment

    def needs_verdict(self, request: Parser) -> bool:
        """Whether the application is asked about a request without a body, too: who is known goes first."""
        return "AUTHORIZATION" in request.headers or "COOKIE" in request.headers

    def recognize(self) -> None:
        """Note that the client has shown a valid token."""
        self.is_recognized = True

    # Time

    def tick(self, now: float) -> None:
        """Close the connection if it takes too long; called about once a second with time.monotonic()."""
        activity = self._activity()
        if (activity, self._answered) != self._phase:
            self._phase, self.since = (activity, self._answered), now
            self._pace.start()
        if not self._is_overdue(activity, now):
            return
        if activity in ("head", "body"):
            self._time_out()
        else:
            self.drop()

    def drop(self) -> None:
        """Close the connection at once; `will_close` would wait until the kernel takes more of an answer."""
        self.will_close = True
        self.handle_close()

    @property
    def may_be_evicted(self) -> bool:
        """Whether this connection may be closed for another: nobody known waits for anything on it."""
        return not self.will_close and (not self.is_recognized or self._activity() == "idle")

    def _activity(self) -> str:
        if self._is_lingering:
            return "lingering"
        if self.total_outbufs_len:
            return "answer"
        if self.requests:
            return "work"
        if self.request is None or not self.request.has_begun:
            return "idle"
        return "body" if self.request.headers_finished else "head"

    def _is_overdue(self, activity: str, now: float) -> bool:
        seconds = now - self.since
        match activity:
            case "head":
                return seconds > self._timing.head_seconds
            case "body" | "answer":
                return self._pace.is_too_slow(now)
            case "idle":
                return seconds > (self._timing.idle_seconds if self._answered else self._timing.head_seconds)
            case "lingering":
                return seconds > _LINGER_SECONDS
        return False  # a thread works on the answer

    def _time_out(self) -> None:
        with self.requests_lock:
            if self.request is None:
                return
            self.request.time_out()
            self.requests.append(self.request)
            self.request = None
            self.server.add_task(self)

    # Reading

    def readable(self) -> bool:
        """Whether the loop should look for bytes; asked of every connection in every turn, so in few steps.

        Not of one that was closed in this turn: its descriptor may be that of another connection already.
        """
        return self.connected and (
            self._is_lingering
            or not (self.requests or self.total_outbufs_len or self.will_close or self.close_when_flushed)
        )

    def handle_read(self) -> None:
        """Take what has arrived."""
        is_body = self.request is not None and self.request.headers_finished
        try:
            data = self.recv(_BODY_READ_BYTES if is_body or self._is_lingering else self.adj.recv_bytes)
        except BlockingIOError:
            return
        except OSError:
            self.handle_close()
            return
        if not data:
            self.connected = False
        elif self._is_lingering:
            self._linger_bytes += len(data)
            if self._linger_bytes > (_LINGER_BYTES if self.is_recognized else _STRANGERS_LINGER_BYTES):
                self.handle_close()
        else:
            self._pace.add(len(data))
            self.received(data)

    # Writing

    def write_soon(self, data: Any) -> int:
        """Send a piece of an answer; a large one is sent from where it is."""
        if isinstance(data, bytes) and len(data) > _COPIED_BYTES:
            data = ReadOnlyFileBasedBuffer(io.BytesIO(data))  # shares the bytes
            data.prepare()
        return int(super().write_soon(data))

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send what the kernel takes."""
        sent = int(super().send(data, do_close=do_close))
        self._pace.add(sent)
        return sent

    def service(self) -> None:
        """Answer the next request."""
        super().service()
        self._answered += 1

    def handle_write(self) -> None:
        """Send, and close when all was sent; but hear out the client whose request was refused.

        A connection that is closed while bytes arrive is reset, and most clients would never see the answer.
        """
        lingers = self.close_when_flushed and self.has_refused
        if lingers:
            self.close_when_flushed = False
        super().handle_write()
        self._go_on()
        if lingers and self.connected and not self.will_close:
            if self.total_outbufs_len:
                self.close_when_flushed = True
            else:
                self._linger()

    def writable(self) -> bool:
        """Whether the loop should let this write, or close."""
        return self.connected and bool(self.total_outbufs_len or self.will_close or self.close_when_flushed)

    def handle_close(self) -> None:
        """Close the connection and let go of what has arrived."""
        if self.request is not None:
            self.request.close()
            self.request = None
        super().handle_close()

    def _go_on(self) -> None:
        """Answer the next request once the client has read the answer before: see HttpServer.add_task."""
        with self.requests_lock:
            if self.is_held and self.connected and not self.total_outbufs_len:
                self.is_held = False
                self.server.add_task(self)

    def _linger(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        self._is_lingering = True


def group_of(address: str) -> str:
    """Return what is counted as one client: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
