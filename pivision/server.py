"""The server: waitress around the API. Never imports OpenCV, so that it is back in a moment.

Run as `python -m pivision.server`.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher
from waitress.utilities import RequestEntityTooLarge

from pivision import config, doorbell, program
from pivision.api import problems
from pivision.api.app import create_app, create_opening_app
from pivision.api.feed import Feed
from pivision.api.headers import SAFE_HEADERS
from pivision.api.last_hour import LastHour
from pivision.api.waiting import Waiting
from pivision.errors import DatabaseRecovering, DatabaseUnusable, PiVisionError
from pivision.opening import until_open
from pivision.streams import StreamChannel, Streams, is_stream

_ENVELOPE_BYTES = 1 << 20  # what a multipart form may add to the upload before waitress itself refuses it
_DROPPED_UPLOAD_BYTES = 1 << 30  # what is larger still is cut off
_CONNECTIONS = 512
_CONNECTIONS_FREED = 16
_IDLE_SECONDS = 30
_OPENING_SECONDS = 1.0  # mostly the database is open sooner, and no client sees that it was not
_STOP_SECONDS = 8.0  # waitress gives its threads 5 to answer
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


class Server(TcpWSGIServer):  # type: ignore[misc]
    """Accepts connections. When all are taken, those that have been idle longest make room for others."""

    channel_class = Channel

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


class Application:
    """The WSGI application: answers what needs no database at once, and everything as soon as the database is open."""

    def __init__(
        self, settings: config.Settings, waiting: Waiting, feed: Feed, ring_workers: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._waiting = waiting
        self._feed = feed
        self._ring_workers = ring_workers
        self._obstacle: PiVisionError = DatabaseRecovering()
        self._app = create_opening_app(settings, lambda: self._obstacle)
        self.is_open = threading.Event()
        self.damage = ""
        self._log = logging.getLogger("server")

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answer one request."""
        return self._app(environ, start_response)

    def open(self) -> None:
        """Open the database, serve everything, and end this process when the database must be recovered."""
        try:
            gate, store, images = until_open(self._settings, self._note, lambda: None)
            hour = LastHour(store)
            threading.Thread(target=hour.keep, daemon=True).start()
            self._app = create_app(self._settings, store, images, self._waiting, self._feed, hour, self._ring_workers)
            self.is_open.set()
            self.damage = gate.watch(store)
            self._log.error("the server ends, so that the database is recovered: %s", self.damage)
            os.kill(os.getpid(), signal.SIGTERM)  # as when it is stopped: who has asked gets an answer
            time.sleep(_STOP_SECONDS)
        except BaseException:
            self._log.exception("the server ends: it can neither open the database nor watch over it")
            raise
        finally:
            os._exit(1)

    def _note(self, obstacle: PiVisionError) -> None:
        self._obstacle = obstacle


def _last_activity(channel: Channel) -> float:
    return float(channel.last_activity)


def serve(settings: config.Settings) -> None:
    """Serve until SIGTERM. Raises OSError when the port is taken, and DatabaseUnusable to end with the database."""
    log = logging.getLogger("server")
    program.make_private_folder(settings.run_dir)
    waiting = Waiting(seats=settings.server_threads - 2)
    feed = Feed(settings.event_streams)
    bell = doorbell.Doorbell(doorbell.server_bell(settings.run_dir))
    worker_bells = [doorbell.worker_bell(settings.run_dir, number) for number in range(1, settings.workers + 1)]

    def ring_workers() -> None:
        feed.ring()  # who adds or retries a task makes an event, too
        for worker_bell in worker_bells:
            doorbell.ring(worker_bell)

    def listen() -> None:
        while True:
            for message in bell.wait(timeout_seconds=60):
                if message.isdigit():
                    waiting.wake(int(message))
            feed.ring()

    def stop(*_: object) -> None:
        waiting.close()
        feed.close()
        raise SystemExit

    application = Application(settings, waiting, feed, ring_workers)
    server = Server(
        application,
        dispatcher=Dispatcher(settings.server_threads),
        adj=Adjustments(
            host=settings.host,
            port=settings.port,
            threads=settings.server_threads,
            connection_limit=_CONNECTIONS,
            channel_timeout=_IDLE_SECONDS,
            cleanup_interval=10,
            max_request_body_size=settings.max_upload_bytes + _ENVELOPE_BYTES,
            asyncore_use_poll=True,  # select() ends at descriptor 1024
            ident=None,
        ),
    )
    # The port came first: a server that finds it held must fail before it has opened anything.
    threading.Thread(target=application.open, daemon=True).start()
    application.is_open.wait(_OPENING_SECONDS)
    threading.Thread(target=listen, daemon=True).start()
    signal.signal(signal.SIGTERM, stop)
    log.info("listening on %s:%s", settings.host, server.effective_port)
    server.run()
    if application.damage:
        raise DatabaseUnusable(application.damage)
    log.info("stopped")


def main() -> None:
    """`python -m pivision.server`"""
    program.begin("server")
    try:
        serve(config.load())
    except PiVisionError as error:
        sys.exit(f"{error.code}: {error}\n{error.remedy}")
    except OSError as error:
        sys.exit(f"the server cannot start: {error}")


if __name__ == "__main__":
    main()
