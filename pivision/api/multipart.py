"""multipart/form-data (RFC 7578 on top of RFC 2046), read part by part as it comes: memory does not depend on its size.

Lenient where real clients differ (case, quotes, folded lines, padding, charsets, preamble), strict where a reader would
have to guess: a bare LF, a form without its end, or a part without a name is refused.
"""

import re
from collections.abc import Iterator

from pivision.api import mime
from pivision.errors import InvalidRequest
from pivision.images import Readable

MEDIA_TYPE = "multipart/form-data"

PARTS_LIMIT = 16
HEAD_LIMIT_BYTES = 4096

_CHUNK_BYTES = 256 * 1024
_LINE_LIMIT_BYTES = 1024  # of a boundary with its padding
_BOUNDARY_LIMIT = 70  # RFC 2046, section 5.1.1
_BOUNDARY = re.compile(r"[!-~]([ -~]*[!-~])?")  # more than RFC 2046 allows: nothing is gained by refusing { or @
_CHARSET_NAME_LIMIT_BYTES = 100
_AS_THEY_ARE = ("7bit", "8bit", "binary")  # RFC 2045, section 6.2: the bytes are those of the content


class Part:
    """One part of a form. Its content can be read until the next part is asked for."""

    def __init__(self, form: "_Form", name: str, is_file: bool, charset: str) -> None:
        self.name = name
        self.is_file = is_file
        self._form = form
        self._charset = charset

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes of the content; none at its end. Raises InvalidRequest."""
        return self._form.read(size)

    def text(self, limit_bytes: int) -> str:
        """Return the whole content as text, in the charset that the part names, else UTF-8. Raises InvalidRequest."""
        content = b""
        while piece := self.read(limit_bytes + 1 - len(content)):
            content += piece
            if len(content) > limit_bytes:
                raise InvalidRequest(f"the field {self.name[:80]!r} has more than {limit_bytes} bytes")
        return mime.decoded(f"the field {self.name[:80]!r}", content, self._charset)


def parts(stream: Readable, content_type: str) -> Iterator[Part]:
    """Read the parts in their order. Raises InvalidRequest for what is no form, when it comes to it."""
    form = _Form(stream, _boundary(content_type))
    default_charset = "utf-8"
    count = 0
    while form.next_part():
        count += 1
        if count > PARTS_LIMIT:
            raise InvalidRequest(f"the form has more than {PARTS_LIMIT} parts")
        part = _part(form, mime.header_lines(form.head()), default_charset)
        if part.name == "_charset_":  # RFC 7578, section 4.6: that of the fields which follow
            default_charset = mime.charset(part.text(_CHARSET_NAME_LIMIT_BYTES))
        else:
            yield part


class _Form:
    """The bytes of a form, and where in it the reading is: a chunk and a delimiter in memory at most."""

    def __init__(self, stream: Readable, boundary: bytes) -> None:
        self._stream = stream
        self._boundary = boundary
        self._delimiter = b"\r\n--" + boundary
        self._buffer = b"\r\n"  # so that the first delimiter may stand at the very beginning
        self._is_in_preamble = True

    def next_part(self) -> bool:
        """Go to the head of the next part, whatever is left of this one; False behind the last."""
        while self.read(_CHUNK_BYTES):
            pass
        self._is_in_preamble = False
        self._buffer = self._buffer[len(self._delimiter) :]
        self._load(2)
        if self._buffer.startswith(b"--"):
            return False  # what follows is for nobody (RFC 2046)
        if self._until(b"\r\n", _LINE_LIMIT_BYTES, "the line of a boundary").strip(b" \t"):
            raise InvalidRequest("something follows a boundary of the form in its line; lines of a form end with CR LF")
        return True

    def head(self) -> bytes:
        """Return the header lines of the part, and go to its content."""
        self._load(2)
        head = b""
        if not self._buffer.startswith(b"\r\n"):
            head = self._until(b"\r\n\r\n", HEAD_LIMIT_BYTES, "the head of a part")
            self._buffer = b"\r\n" + self._buffer
        self._load(len(self._delimiter))
        if not self._buffer.startswith(self._delimiter):  # else the part has no content, and not even an empty line
            self._buffer = self._buffer[2:]
        return head

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes up to the next delimiter; none when it comes next."""
        while True:
            index = self._buffer.find(self._delimiter)
            if index == 0:
                return b""
            safe = index if index > 0 else len(self._buffer) - len(self._delimiter) + 1
            if safe > 0:
                end = min(safe, size)
                taken, self._buffer = self._buffer[:end], self._buffer[end:]
                return taken
            if not self._fill():
                raise self._ended()

    def _until(self, end: bytes, limit_bytes: int, what: str) -> bytes:
        """Take what comes before `end`, and `end`."""
        while (index := self._buffer.find(end)) < 0 and len(self._buffer) <= limit_bytes:
            if not self._fill():
                raise self._ended()
        if not 0 <= index <= limit_bytes:
            raise InvalidRequest(f"{what} has more than {limit_bytes} bytes; lines of a form end with CR LF")
        taken, self._buffer = self._buffer[:index], self._buffer[index + len(end) :]
        return taken

    def _load(self, size: int) -> None:
        while len(self._buffer) < size:
            if not self._fill():
                raise self._ended()

    def _fill(self) -> bool:
        chunk = self._stream.read(_CHUNK_BYTES)
        self._buffer += chunk
        return bool(chunk)

    def _ended(self) -> InvalidRequest:
        boundary = self._boundary.decode()
        if self._is_in_preamble:
            return InvalidRequest(
                f"the body has no line --{boundary}, with which its Content-Type says that a form begins"
            )
        return InvalidRequest(
            f"the form ends too early: no line --{boundary}-- ends it, or its lines end with a bare LF"
        )


def _boundary(content_type: str) -> bytes:
    boundary = mime.parameters(content_type).get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary) or len(boundary) > _BOUNDARY_LIMIT:
        raise InvalidRequest(
            f"the Content-Type names no boundary of 1 to {_BOUNDARY_LIMIT} printable ASCII characters, "
            "as in multipart/form-data; boundary=x"
        )
    return boundary.encode("ascii")


def _part(form: _Form, headers: dict[str, str], default_charset: str) -> Part:
    disposition = headers.get("content-disposition", "")
    if mime.media_type(disposition) != "form-data":
        raise InvalidRequest('a part of the form has no header Content-Disposition: form-data; name="…"')
    parameters = mime.parameters(disposition)
    name = mime.extended(parameters["name*"]) if "name*" in parameters else parameters.get("name")
    if name is None:
        raise InvalidRequest("a part of the form has no name")
    encoding = headers.get("content-transfer-encoding", "binary").lower()
    if encoding not in _AS_THEY_ARE:
        allowed = ", ".join(_AS_THEY_ARE)
        raise InvalidRequest(f"part {name[:80]!r}: Content-Transfer-Encoding must be {allowed}, not {encoding[:40]!r}")
    charset = mime.parameters(headers.get("content-type", "")).get("charset")
    return Part(
        form,
        name,
        is_file="filename" in parameters or "filename*" in parameters,
        charset=default_charset if charset is None else mime.charset(charset),
    )
