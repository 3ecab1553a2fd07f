"""What happens on a box, as it happens: server-sent events, and a connection that comes back."""

import time
from collections.abc import Iterator
from typing import NamedTuple

from pivision.client.connection import Connection
from pivision.errors import ServerRefused, ServerUnreachable

SILENCE_SECONDS = 30.0
"""A box says something every ten seconds, and be it that nothing has happened."""

_PAUSE_SECONDS = 1.0  # before it is tried again, unless the box says otherwise
_LONGEST_PAUSE_SECONDS = 30.0


class Event(NamedTuple):
    """One of them."""

    kind: str  # task, removed, system, reset
    data: str


class Events:
    """The events of one box from now on, and, after an interruption, from the last one that was seen."""

    def __init__(self, box: Connection) -> None:
        self._box = box
        self._last_id = ""
        self._pause_seconds = _PAUSE_SECONDS
        self._has_begun = False

    def __iter__(self) -> Iterator[Event]:
        """For ever. Raises ServerUnreachable if there is no answer to the first request, and ServerRefused."""
        while True:
            pause_seconds = self._pause_seconds
            try:
                yield from self._stream()
                pause_seconds = self._pause_seconds
            except ServerUnreachable:
                if not self._has_begun:
                    raise
            except ServerRefused as refusal:
                if refusal.pause_seconds is None:
                    raise
                pause_seconds = refusal.pause_seconds
            time.sleep(pause_seconds)

    def _stream(self) -> Iterator[Event]:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": self._last_id} if self._last_id else {})}
        with self._box.answer("GET", "/v1/events", None, headers) as response:
            self._has_begun = True
            kind, data = "message", list[str]()
            while line := response.readline():
                name, _, value = line.decode(errors="replace").rstrip("\r\n").partition(":")
                value = value.removeprefix(" ")
                if name == "event":
                    kind = value
                elif name == "data":
                    data.append(value)
                elif name == "id":
                    self._last_id = value
                elif name == "retry" and value.isdigit():
                    self._pause_seconds = min(int(value) / 1000, _LONGEST_PAUSE_SECONDS)
                elif not name and not value and line.strip() == b"":  # the empty line behind an event
                    if data:
                        yield Event(kind, "\n".join(data))
                    kind, data = "message", []
