"""HTTP for the appliance: waitress, with answers to what it refuses, room for health, and threads for streams."""

from collections.abc import Callable
from typing import Any

from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher
from waitress.utilities import RequestEntityTooLarge

from pivision import listening
from pivision.api import problems
from pivision.api.headers import SAFE_HEADERS
from pivision.config import Settings
from pivision.streams import StreamChannel, Streams, is_stream

_ENVELOPE_BYTES = 1 << 20  # what a multipart form may add to the upload before waitress itself refuses it
_DROPPED_UPLOAD_BYTES = 1 << 30  # what is larger still is cut off
_CONNECTIONS = 512
_CONNECTIONS_FREED = 16
_IDLE_SECONDS = 30
_RESERVED_PATH = "/healthz"


class ProblemTask(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """What waitress refuses by itself, as a problem like every other error."""

    def execute(self) -> None:
        """Write the answer and close the connection."""
        refused = self.request.error
        error = problems.of_status(refused.code, refused.body)
        answer = problems.body(error, refused.code)
        self.status = f"{refused.code} {refused.reason}"
        self.response_headers += [("Content-Type", problems.CONTENT_TYPE), *SAFE_HEADERS.items()]
        self.content_length = len(answer)
        self.set_close_on_finish()
        self.write(answer)


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """One request. Reads an upload that is too large to its end and drops it, as it comes, before it is refused.

    Closing at once would reset the connection, and most clients would never see the answer.
    """

    expect_continue: bool
    _to_drop_bytes = 0

    def received(self, data: bytes) -> int:
        """Take what has arrived and return how much of it belongs to this request."""
        if self._to_drop_bytes:
            dropped = min(len(data), self._to_drop_bytes)
            self._to_drop_bytes -= dropped
            self.completed = not self._to_drop_bytes
            return dropped
        consumed = int(super().received(data))
        if isinstance(self.error, RequestEntityTooLarge):
            if self.expect_continue:  # it has sent nothing yet, and must not be told to go on
                self.expect_continue = False
            elif 0 < self.content_length <= _DROPPED_UPLOAD_BYTES:  # 0: chunked, nobody knows how much is to come
                self._to_drop_bytes = self.content_length
                self.completed = False
        return consumed


class Channel(StreamChannel):
    """One connection."""

    parser_class = Parser
    error_task_class = ProblemTask


class HttpServer(TcpWSGIServer):  # type: ignore[misc]
    """Accepts connections. When all are taken, those that have been idle longest make room for others."""

    channel_class = Channel

    def fix_addr(self, addr: Any) -> Any:
        """Return a client's address as its owner would write it."""
        return (listening.plain_address(addr[0]), *addr[1:])

    def readable(self) -> bool:
        """Whether another connection can be accepted; asked once in each turn of the loop."""
        if len(self._map) >= self.adj.connection_limit:
            idle = [channel for channel in self.active_channels.values() if not channel.requests]
            for channel in sorted(idle, key=_last_activity)[:_CONNECTIONS_FREED]:
                channel.will_close = True
        return bool(super().readable())


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Threads for the requests, one more that answers nothing but /healthz, and one for each stream of events.

    Whatever holds the others, be it a locked database or a full disk, health sees a server that is alive.
    """

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.queue_logger.setLevel("ERROR")  # one warning for each queued request would wear out the SD card
        self.logger.setLevel("WARNING")  # and so would one line for each page that is closed
        self._reserved = ThreadedTaskDispatcher()
        self._streams = Streams()
        self.set_thread_count(threads)
        self._reserved.set_thread_count(1)

    def add_task(self, task: Channel) -> None:
        """Queue a connection whose next request is complete."""
        path = getattr(task.requests[0], "path", None) or ""  # what is no HTTP has no path
        if path == _RESERVED_PATH:
            self._reserved.add_task(task)
        elif is_stream(path):
            self._streams.add(task)
        else:
            super().add_task(task)

    def shutdown(self, *arguments: Any, **options: Any) -> bool:
        """Stop the threads once they have answered."""
        self._reserved.shutdown(*arguments, **options)
        is_shut = bool(super().shutdown(*arguments, **options))
        self._streams.end()
        return is_shut


def http_server(application: Callable[[Any, Any], Any], settings: Settings) -> HttpServer:
    """A server that has the port of the settings, and answers once it is run. Raises OSError when the port is taken."""
    made = listening.listening_socket(settings.host, settings.port)
    return HttpServer(
        application,
        _sock=made,
        bind_socket=False,
        sockinfo=(made.family, made.type, made.proto, made.getsockname()),
        dispatcher=Dispatcher(settings.server_threads),
        adj=Adjustments(
            threads=settings.server_threads,
            connection_limit=_CONNECTIONS,
            channel_timeout=_IDLE_SECONDS,
            cleanup_interval=10,
            max_request_body_size=settings.max_upload_bytes + _ENVELOPE_BYTES,
            asyncore_use_poll=True,  # select() ends at descriptor 1024
            ident=None,
        ),
    )


def _last_activity(channel: Channel) -> float:
    return float(channel.last_activity)
