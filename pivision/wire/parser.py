"""One request as it arrives: the head first, then what the application says of it, and only then a body."""

import re
from typing import Any, NamedTuple, Protocol

from waitress.parser import HTTPRequestParser, ParsingError, TransferEncodingNotImplemented
from waitress.receiver import FixedStreamReceiver

from pivision.disk import Disk
from pivision.errors import InvalidRequest, PiVisionError, RequestTimeout, Unauthorized, UploadTooLarge
from pivision.wire import head
from pivision.wire.admission import ADMITTED, REFUSAL, Environment, Gatekeeper, Verdict
from pivision.wire.chunks import ChunkedBody
from pivision.wire.spool import Spool, SpooledBody

_CHUNKED_FACTOR = 8  # what a body in chunks may have on the wire: a chunk of one byte has six
_KEY_WITHIN_BYTES = 64 << 10  # of a form: behind that, a key is found only when the whole form was read
_KEY = re.compile(
    rb'\r\ncontent-disposition:[^\r\n]*;[ \t]*name="?api_key"?[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]{0,512})\r\n--',
    re.IGNORECASE,
)


class Bounds(NamedTuple):
    """What one request may take."""

    max_head_bytes: int
    max_head_lines: int
    max_chunk_line_bytes: int
    max_keyless_form_bytes: int
    uploads: Spool
    keyless: Spool
    disk: Disk


class Connection(Protocol):
    """What a request must know of the connection on which it comes."""

    address: str
    has_refused: bool
    bounds: Bounds
    gatekeeper: Gatekeeper

    def environment(self, request: "Parser") -> Environment:
        """Return the WSGI environment of a request."""

    def needs_verdict(self, request: "Parser") -> bool:
        """Whether the application is asked about a request without a body, too."""


class Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """One request.

    `error` is what the server refuses by itself; `extra` goes into the WSGI environment. A request that is refused ends
    at once, as if it had no body, and the connection is closed after the answer.
    """

    version = "1.1"  # in which an answer is given before the request has said its own
    completed: bool
    headers_finished: bool
    header_plus: bytes
    content_length: int
    body_rcv: Any

    def __init__(self, adj: Any, connection: Connection) -> None:
        super().__init__(adj)
        self.extra: Environment = {}
        self._connection = connection
        self._bounds = connection.bounds
        self._is_well_formed = False
        self._verdict = Verdict(0, False)
        self._awaits_key = False
        self._has_looked = False  # for the key, in all of the beginning
        self._environment: Environment = {}  # of a request that awaits its key

    @property
    def has_begun(self) -> bool:
        """Whether a part of the head has arrived, but for empty lines."""
        return self.headers_finished or bool(self.header_plus)

    def received(self, data: bytes) -> int:
        """Take what has arrived and return how much of it belongs to this request."""
        if self.completed:
            return 0
        try:
            return self._take_body(data) if self.headers_finished else self._take_head(data)
        except (ParsingError, TransferEncodingNotImplemented, ValueError) as error:
            self.refuse(InvalidRequest(str(error)))
        except PiVisionError as error:
            self.refuse(error)
        return len(data)  # whatever follows is no request

    def refuse(self, problem: PiVisionError) -> None:
        """End this request with an error: as the application puts it, once the head has told which address is meant."""
        if self._is_well_formed:
            self.extra[REFUSAL] = problem
        else:
            self.error = problem
        self._end()

    def time_out(self) -> None:
        """End this request, which comes too slowly."""
        what = "body" if self.headers_finished else "head"
        self.refuse(RequestTimeout(f"the request's {what} comes too slowly"))

    def close(self) -> None:
        """Let go of the body."""
        if self.body_rcv is not None:
            self.body_rcv.getbuf().close()

    def _take_head(self, data: bytes) -> int:
        received: bytes = (self.header_plus + data).lstrip(b"\r\n")  # empty lines before a request are passed over
        end = received.find(head.END) + len(head.END)
        is_whole = end >= len(head.END)
        head.require_beginning(received[:end] if is_whole else received, self._bounds.max_head_bytes)
        if not is_whole:
            self.header_plus = received
            return len(data)
        self.headers_finished = True
        head.require_well_formed(received[:end], self._bounds.max_head_lines)
        self.parse_header(received[:end])
        self._is_well_formed = True
        if self.body_rcv is None and not self._connection.needs_verdict(self):
            self.completed = True
        else:
            self._judge()
        return len(data) - (len(received) - end)

    def _judge(self) -> None:
        """Let the application decide whether the body is read, and make room for it."""
        has_body, self.body_rcv = self.body_rcv is not None, None
        environment = self._connection.environment(self)
        try:
            verdict = self._connection.gatekeeper.judge(environment)
        except PiVisionError as error:
            if has_body:
                raise
            self.extra[REFUSAL] = error  # nothing more comes: the connection may go on
            self.completed = True
            return
        self.extra[ADMITTED] = verdict.is_admitted
        if not has_body:
            self.completed = True
            return
        if not verdict.max_body_bytes:
            self._end()
            return
        self._verdict = verdict
        self._awaits_key = not verdict.is_admitted
        if self._awaits_key:
            self._environment = environment
        bounds = self._bounds
        spool = bounds.keyless if self._awaits_key else bounds.uploads
        size_bytes = self.content_length  # 0 of one in chunks
        if self._awaits_key:
            size_bytes = min(size_bytes, bounds.max_keyless_form_bytes)
        body = SpooledBody(spool, self._connection.address, size_bytes, bounds.disk)
        if self.chunked:
            self.body_rcv = ChunkedBody(body, bounds.max_chunk_line_bytes)
        else:
            self.body_rcv = FixedStreamReceiver(self.content_length, body)

    def _take_body(self, data: bytes) -> int:
        if self._awaits_key:
            data = data[: self._bounds.max_keyless_form_bytes - self.body_bytes_received]
        consumed = int(self.body_rcv.received(data))
        self.body_bytes_received += consumed
        if self.body_rcv.error:
            raise InvalidRequest(self.body_rcv.error.body)
        max_bytes = self._verdict.max_body_bytes
        if len(self.body_rcv) > max_bytes:
            raise UploadTooLarge(f"the body has more than {max_bytes} bytes ({self._verdict.reason})")
        if self.body_bytes_received > _CHUNKED_FACTOR * max_bytes:
            raise InvalidRequest("the body comes in chunks that are too small")
        if self._awaits_key:
            self._look_for_key()
        if self.body_rcv.completed:
            self.body_rcv.getbuf().flush()
            self.headers["CONTENT_LENGTH"] = str(len(self.body_rcv))
            self.completed = True
        return consumed

    def _look_for_key(self) -> None:
        """Go on with a form as soon as it has shown a valid key; until then, it may have a small size only."""
        body: SpooledBody = self.body_rcv.getbuf()
        if found := self._key_in(body):
            self._connection.gatekeeper.accept_key(self._environment, found[1].decode(errors="replace").strip())
            body.move(self._bounds.uploads, max(self.content_length, len(body)))
            self.extra[ADMITTED] = True
            self._awaits_key = False
        elif self.body_bytes_received >= self._bounds.max_keyless_form_bytes and not self.body_rcv.completed:
            limit = f"{self._bounds.max_keyless_form_bytes} bytes (max_keyless_form_bytes)"
            raise Unauthorized(f"no key within {limit} of the form; larger ones need the header Authorization")

    def _key_in(self, body: SpooledBody) -> re.Match[bytes] | None:
        if self._has_looked:
            return None
        beginning = body.beginning(_KEY_WITHIN_BYTES)
        self._has_looked = len(beginning) == _KEY_WITHIN_BYTES
        return _KEY.search(b"\r\n" + beginning) if b"api_key" in beginning else None

    def _end(self) -> None:
        self.close()
        self.body_rcv = None
        self.headers["CONTENT_LENGTH"] = "0"
        self.headers["CONNECTION"] = "close"
        self.expect_continue = False
        self._connection.has_refused = True
        self.completed = True
