"""A body in chunks: RFC 9112, section 7.1. Size lines and trailers are bounded, and each byte is looked at once."""

import re

from waitress.utilities import BadRequest

from pivision.wire.spool import SpooledBody

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(;[\t\x20-\x7e\x80-\xff]*)?")


class ChunkedBody:
    """Takes the bytes of a chunked body as they arrive, in waitress' interface of a receiver."""

    def __init__(self, body: SpooledBody, max_line_bytes: int) -> None:
        self.completed = False
        self.error: BadRequest | None = None
        self._body = body
        self._max_line_bytes = max_line_bytes
        self._line = b""  # what has arrived of a size line, a chunk's end or a trailer line
        self._chunk_bytes = 0  # to come of this chunk
        self._is_chunk_end = False
        self._is_trailer = False
        self._trailer_bytes = 0

    def __len__(self) -> int:
        return len(self._body)

    def received(self, data: bytes) -> int:
        """Take what belongs to this body and return how much that was."""
        position = 0
        while position < len(data) and not self.completed and self.error is None:
            if self._chunk_bytes:
                piece = data[position : position + self._chunk_bytes]
                self._body.append(piece)
                self._chunk_bytes -= len(piece)
                self._is_chunk_end = not self._chunk_bytes
                position += len(piece)
                continue
            end = data.find(b"\n", position) + 1 or len(data)
            self._line += data[position : min(end, position + self._max_line_bytes + 1)]
            position = end
            if len(self._line) > self._max_line_bytes:
                self.error = BadRequest(f"a chunk's size line has more than {self._max_line_bytes} bytes")
            elif self._line.endswith(b"\n"):
                self._take_line()
        return position

    def _take_line(self) -> None:
        line, self._line = self._line, b""
        if not line.endswith(b"\r\n"):
            self.error = BadRequest("a line between chunks ends with LF alone")
        elif self._is_trailer:
            self._trailer_bytes += len(line)
            self.completed = line == b"\r\n"
            if self._trailer_bytes > self._max_line_bytes:
                self.error = BadRequest(f"the trailers have more than {self._max_line_bytes} bytes")
        elif self._is_chunk_end:
            self._is_chunk_end = False
            if line != b"\r\n":
                self.error = BadRequest("a chunk is longer than its size line says")
        elif size := _SIZE_LINE.fullmatch(line[:-2]):
            self._chunk_bytes = int(size[1], 16)
            self._is_trailer = not self._chunk_bytes
        else:
            self.error = BadRequest("a chunk's size line is malformed")

    def getfile(self) -> object:
        """The body from its beginning, for the application."""
        return self._body.getfile()

    def getbuf(self) -> SpooledBody:
        """What holds the body."""
        return self._body
