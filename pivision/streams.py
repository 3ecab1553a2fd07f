"""Connections that a stream of events holds: a thread for each, and an eye on whether the client is still there."""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from pivision.api.events import BEGIN_STREAM, PATH
from pivision.wire.channel import Channel, RequestTask
from pivision.wire.parser import Parser

_BACKLOG_BYTES = 1 << 20  # a client that lets more wait does not read; it may come back and go on
_SILENCE_MILLISECONDS = 30_000  # then the kernel gives up a client that acknowledges nothing
_END_SECONDS = 1.0


class StreamTask(RequestTask):
    """A request to the application, which may answer it with a stream of events."""

    def get_environment(self) -> dict[str, Any]:
        """What the application is told."""
        environment: dict[str, Any] = super().get_environment()
        environment[BEGIN_STREAM] = self.channel.begin_stream
        return environment


class StreamChannel(Channel):
    """One connection, which an answer may turn into a stream."""

    task_class = StreamTask
    _when_gone: Callable[[], None] | None = None  # once this is a stream, which it stays until it is closed

    def begin_stream(self, when_gone: Callable[[], None]) -> Callable[[], bool]:
        """Notice from now on when the client goes. Returns what tells that it is gone, or does not read."""
        with contextlib.suppress(OSError):  # gone already
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_MILLISECONDS)
        self._when_gone = when_gone
        self.server.pull_trigger()  # so that the loop asks whether this is readable
        return lambda: not self.connected or self.total_outbufs_len > _BACKLOG_BYTES

    def needs_verdict(self, request: Parser) -> bool:
        """Whether the application is asked first: who may not have a stream must not have its thread, either."""
        return is_stream(request.path) or super().needs_verdict(request)

    def tick(self, now: float) -> None:
        """Leave a stream to those who watch over it."""
        if self._when_gone is None:
            super().tick(now)

    def readable(self) -> bool:
        """Whether the loop should look for bytes. A stream expects none but the end, which is how a client goes."""
        if self._when_gone is None:
            return super().readable()
        return not (self.will_close or self.close_when_flushed)

    def received(self, data: bytes) -> bool:
        """Take what has arrived; nothing can be asked behind a stream, so that is dropped."""
        return self._when_gone is None and bool(super().received(data))

    def handle_close(self) -> None:
        """Close the connection, and wake the thread that has a stream here."""
        super().handle_close()
        if self._when_gone is not None:
            self._when_gone()


class Streams:
    """A thread for each stream, made when it is asked for.

    The application bounds their number; what it refuses has its thread for the moment that this takes.
    """

    def __init__(self) -> None:
        self._threads: set[threading.Thread] = set()

    def add(self, channel: StreamChannel) -> None:
        """Answer the next request of this connection."""

        def serve() -> None:
            try:
                channel.service()
            except Exception:
                logging.getLogger("server").exception("a stream of events has ended")
            finally:
                self._threads.discard(thread)

        thread = threading.Thread(target=serve, name="stream", daemon=True)
        self._threads.add(thread)
        thread.start()

    def end(self) -> None:
        """Wait a moment until they have ended, each by itself."""
        give_up = time.monotonic() + _END_SECONDS
        for thread in list(self._threads):
            thread.join(max(0.0, give_up - time.monotonic()))


def is_stream(path: str) -> bool:
    """Whether the router takes this for the address of the stream: it strips slashes, too."""
    return path.strip("/") == PATH.strip("/")
