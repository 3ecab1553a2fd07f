"""HTTP for the appliance: waitress in the bounds of `wire`, with room for health, and threads for streams."""

import contextlib
import logging
import time
from collections import deque
from typing import Any, Protocol

from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher

from pivision import listening
from pivision.api import problems
from pivision.api.headers import SAFE_HEADERS
from pivision.api.heads import FORM_EXTRA_BYTES
from pivision.config import Settings
from pivision.disk import Disk
from pivision.errors import PiVisionError
from pivision.streams import StreamChannel, Streams, is_stream
from pivision.wire.admission import ADMITTED, Gatekeeper
from pivision.wire.channel import Timing, group_of
from pivision.wire.parser import Bounds
from pivision.wire.spool import Spool

_ACCEPTED_AT_ONCE = 16  # each turn of the loop looks at every connection
_ACCEPT_PAUSE_SECONDS = 1.0
_TICK_SECONDS = 1.0
_RESERVED_PATH = "/healthz"


class Application(Gatekeeper, Protocol):
    """A WSGI application that decides on heads, too."""

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answer one request."""


class ProblemTask(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """What is refused before the application sees it, as a problem like every other error."""

    def execute(self) -> None:
        """Write the answer and close the connection."""
        error = self.request.error
        if not isinstance(error, PiVisionError):  # waitress' own, for an exception outside of the application
            error = problems.of_status(error.code, error.body)
        answer = problems.body(error, error.status)
        self.status = problems.status_line(error.status)
        self.response_headers += [("Content-Type", problems.CONTENT_TYPE), *SAFE_HEADERS.items()]
        if error.retryable:
            self.response_headers.append(("Retry-After", str(problems.RETRY_AFTER_SECONDS)))
        self.content_length = len(answer)
        self.set_close_on_finish()
        self.write(answer)


class Channel(StreamChannel):
    """One connection."""

    error_task_class = ProblemTask


class HttpServer(TcpWSGIServer):  # type: ignore[misc]
    """Accepts connections, and closes what is too slow, or must make room for others."""

    channel_class = Channel

    def __init__(self, application: Application, settings: Settings, **options: Any) -> None:
        self.gatekeeper: Gatekeeper = application
        largest_bytes = settings.max_upload_bytes * 4 // 3 + FORM_EXTRA_BYTES  # in base64
        per_address_bytes = max(settings.max_spool_bytes_per_address, largest_bytes)  # one always fits
        self.bounds = Bounds(
            settings.max_head_bytes,
            settings.max_head_lines,
            settings.max_chunk_line_bytes,
            settings.max_keyless_form_bytes,
            Spool(max(settings.max_spool_bytes, per_address_bytes), per_address_bytes, "max_spool_bytes"),
            Spool(settings.max_keyless_forms_bytes, settings.max_keyless_forms_bytes, "max_keyless_forms_bytes"),
            Disk(settings.data_dir, settings.disk_reserve_bytes),
        )
        self.timing = Timing(
            settings.head_timeout_seconds,
            settings.idle_timeout_seconds,
            settings.min_transfer_bytes_per_second,
            settings.transfer_window_seconds,
        )
        self._max_connections = settings.max_connections
        self._max_connections_per_address = settings.max_connections_per_address
        self._next_tick = 0.0
        self._accept_from = 0.0
        self._evicted: list[Channel] = []
        super().__init__(application, **options)

    def fix_addr(self, addr: Any) -> Any:
        """Return a client's address as its owner would write it."""
        return (listening.plain_address(addr[0]), *addr[1:])

    def readable(self) -> bool:
        """Whether another connection can be accepted; asked once in each turn of the loop."""
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + _TICK_SECONDS
            for channel in list(self.active_channels.values()):
                channel.tick(now)
        return self.accepting and now >= self._accept_from

    def handle_accept(self) -> None:
        """Accept what waits in the kernel's queue, as far as there is a place for it or one can be made."""
        try:
            for _ in range(_ACCEPTED_AT_ONCE):
                if (accepted := self.accept()) is None:
                    break
                self._welcome(accepted[0], self.fix_addr(accepted[1]))
        except OSError as error:
            # Mostly no descriptor is left. What waits in the kernel stays there, and would be reported at once again.
            self._accept_from = time.monotonic() + _ACCEPT_PAUSE_SECONDS
            logging.getLogger("server").warning("no connection can be accepted for now: %s", error.strerror)
            self._make_place([channel for channel in self._open_channels() if not channel.is_recognized])
        while self._evicted:  # last: else a descriptor of theirs, with its events of this turn, would be given anew
            self._evicted.pop().drop()

    def _welcome(self, sock: Any, address: Any) -> None:
        with contextlib.suppress(OSError):  # gone already
            self.set_socket_options(sock)
        if self._has_place(group_of(address[0])):
            self.channel_class(self, sock, address, self.adj, map=self._map)
        else:
            sock.close()

    def add_task(self, channel: Channel) -> None:
        """Let a thread answer the next request of a connection, but hold it while the answer before is not read.

        Else a client that sends many requests at once and reads nothing would fill the memory. Called with the lock of
        the connection's requests.
        """
        channel.is_held = bool(channel.total_outbufs_len)
        if not channel.is_held:
            super().add_task(channel)

    def _has_place(self, group: str) -> bool:
        channels = self._open_channels()
        of_group = [channel for channel in channels if channel.address == group]
        if len(of_group) >= self._max_connections_per_address:
            return self._make_place(of_group)
        return len(channels) < self._max_connections or self._make_place(channels)

    def _make_place(self, channels: list[Channel]) -> bool:
        """Choose the connection of these that can best be done without, if there is such a one, to be closed."""
        closable = [channel for channel in channels if channel.may_be_evicted]
        if closable:
            evicted = min(closable, key=lambda channel: (channel.is_recognized, channel.since))
            evicted.will_close = True
            self._evicted.append(evicted)
        return bool(closable)

    def _open_channels(self) -> list[Channel]:
        return [channel for channel in self.active_channels.values() if not channel.will_close]


class _Lanes:
    """A queue of connections, in waitress' interface of a deque: those of known clients go first."""

    def __init__(self) -> None:
        self._known: deque[Channel] = deque()
        self._unknown: deque[Channel] = deque()

    def __len__(self) -> int:
        return len(self._known) + len(self._unknown)

    def append(self, channel: Channel) -> None:
        """Queue a connection."""
        (self._known if channel.is_recognized else self._unknown).append(channel)

    def popleft(self) -> Channel:
        """Take the next one. Raises IndexError if there is none."""
        return (self._known or self._unknown).popleft()


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Threads for the requests, one more that answers nothing but /healthz, and one for each stream of events.

    Whatever holds the others, be it a locked database or a full disk, health sees a server that is alive.
    """

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.queue_logger.setLevel("ERROR")  # one warning for each queued request would wear out the SD card
        self.logger.setLevel("WARNING")  # and so would one line for each page that is closed
        self.queue = _Lanes()
        self._reserved = ThreadedTaskDispatcher()
        self._streams = Streams()
        self.set_thread_count(threads)
        self._reserved.set_thread_count(1)

    def add_task(self, task: Channel) -> None:
        """Queue a connection whose next request is complete."""
        request = task.requests[0]
        path = getattr(request, "path", None) or ""  # what is no HTTP has no path
        if path == _RESERVED_PATH:
            self._reserved.add_task(task)
        elif is_stream(path) and request.extra.get(ADMITTED):
            self._streams.add(task)
        else:
            super().add_task(task)

    def shutdown(self, *arguments: Any, **options: Any) -> bool:
        """Stop the threads once they have answered."""
        self._reserved.shutdown(*arguments, **options)
        is_shut = bool(super().shutdown(*arguments, **options))
        self._streams.end()
        return is_shut


def http_server(application: Application, settings: Settings) -> HttpServer:
    """Return a server that has the port of the settings, and answers once it is run. Raises OSError if it is taken."""
    made = listening.listening_socket(settings.host, settings.port)
    return HttpServer(
        application,
        settings,
        _sock=made,
        bind_socket=False,
        sockinfo=(made.family, made.type, made.proto, made.getsockname()),
        dispatcher=Dispatcher(settings.server_threads),
        adj=Adjustments(
            threads=settings.server_threads,
            asyncore_use_poll=True,  # select() ends at descriptor 1024
            ident=None,
        ),
    )
