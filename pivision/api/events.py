"""/v1/events: what happens to the tasks, as server-sent events, while it happens.

Told is what a task is now, not each step on the way: so nothing must be kept for those who are away, and whoever comes
back with the id of the last event that it has seen gets what has changed since.
"""

import time
from collections.abc import Callable, Iterator

import falcon

from pivision.api.auth import Access
from pivision.api.endpoint import Answer, Content, Parameter, described
from pivision.api.feed import Feed, Reading, event
from pivision.errors import PiVisionError, TooManyStreams

PATH = "/v1/events"
BEGIN_STREAM = "pivision.begin_stream"
"""In the WSGI environment: say that this answer has no end until its client goes, and what to call then.

Returns what tells whether the client is gone, or does not read.
"""

_CONTENT_TYPE = "text/event-stream"
_DESCRIBED = described(
    {200: Answer(Content((_CONTENT_TYPE,), str), "Events `task`, `system`, `removed` and `reset`, without an end.")},
    errors=(TooManyStreams,),
    parameters=(
        Parameter("Last-Event-ID", str, "The last event that was seen; what has changed since is told.", "header"),
        Parameter("last_event_id", str, "The same in the address."),
    ),
)
_HEARTBEAT_SECONDS = 10.0
_LOOK_SECONDS = 2.0  # how often to look without being rung for: a ring may be lost
_PAUSE_SECONDS = 0.05  # between two looks, however much happens
_RETRY_MILLISECONDS = 1000
_REPLAY_LIMIT = 1000  # changes; who has missed more reads the list anew


class Events:
    """/v1/events"""

    def __init__(self, access: Access, feed: Feed, reading: Reading) -> None:
        self._access = access
        self._feed = feed
        self._reading = reading

    @_DESCRIBED
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Tell what happens from now on, or from the event behind the one that the client names."""
        last = req.get_header("Last-Event-ID") or req.get_param("last_event_id") or ""
        begin_stream = req.env[BEGIN_STREAM]
        self._feed.enter()
        try:
            resp.stream = _Stream(self._feed, self._reading, last, begin_stream, lambda: self._access.require(req))
        except BaseException:
            self._feed.leave()
            raise
        resp.content_type = _CONTENT_TYPE

    @_DESCRIBED
    def on_head(self, req: falcon.Request, resp: falcon.Response) -> None:
        """What the answer would be, without a place among the streams."""
        resp.content_type = _CONTENT_TYPE


class _Stream:
    """One client's stream. No generator: it is closed, and its place given back, even if it never began."""

    def __init__(
        self,
        feed: Feed,
        reading: Reading,
        last: str,
        begin_stream: Callable[[Callable[[], None]], Callable[[], bool]],
        require_access: Callable[[], None],
    ) -> None:
        self._feed = feed
        self._reading = reading
        self._number, self._is_reset = _start(last, *reading.change_numbers())
        self._require_access = require_access
        self._is_gone = begin_stream(feed.ring)

    def close(self) -> None:
        """Give the place back; called by the server when the answer has ended, however."""
        self._feed.leave()

    def __iter__(self) -> Iterator[bytes]:
        """Everything that is sent, in parts as they come."""
        yield f"retry: {_RETRY_MILLISECONDS}\nid: {self._number}\n\n".encode()
        if self._is_reset:
            yield event("reset", {}, self._number)
        system = b""
        heartbeat_due = time.monotonic() + _HEARTBEAT_SECONDS
        while not self._feed.closed.is_set() and not self._is_gone():
            rings = self._feed.rings
            told = b""
            if (latest := self._reading.system()) != system:
                system = latest
                told = system
            batch = self._reading.since(self._number, rings)
            self._number = batch.number
            told += batch.events
            if time.monotonic() >= heartbeat_due:
                if not self._may_go_on():
                    return
                heartbeat_due = time.monotonic() + _HEARTBEAT_SECONDS
                told += b": heartbeat\n\n"
            if told:
                yield told
            if not batch.events:
                self._feed.wait(rings, _LOOK_SECONDS)
            self._feed.closed.wait(_PAUSE_SECONDS if told else 0)

    def _may_go_on(self) -> bool:
        """Whether the token, or the session, still counts: it may have been revoked meanwhile."""
        try:
            self._require_access()
        except PiVisionError:
            return False
        return True


def _start(last: str, oldest: int, newest: int) -> tuple[int, bool]:
    """From which change on to tell, and whether the client must read its list anew, since that is not known."""
    if not last:
        return newest, False
    if not last.isascii() or not last.isdecimal() or len(last) > 19:
        return newest, True
    number = int(last)
    if not oldest <= number <= newest or newest - number > _REPLAY_LIMIT:
        return newest, True
    return number, False
