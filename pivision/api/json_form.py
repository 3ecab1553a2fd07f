"""A JSON object in the place of a form, read member by member as it comes: memory does not depend on its size."""

import binascii
import codecs
import re
from collections.abc import Iterator
from typing import NoReturn

import msgspec

from pivision.errors import InvalidJson, InvalidRequest
from pivision.images import Readable

_CHUNK_BYTES = 64 * 1024
_NAME_LIMIT_BYTES = 256
_BLANK = b" \t\r\n"
_STRING_RUN = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)  # up to the closing quote, or to half an escape
_LONGEST_ESCAPE_BYTES = len(rb"\ud83d\ude00")
_DATA_URL = re.compile(rb"data:[^,]*,", re.IGNORECASE)
_DATA_URL_LIMIT_BYTES = 256


class JsonForm:
    """The members of a JSON object. The value of each must be taken before the next is asked for."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._buffer = b""
        self._at = 0  # in the buffer
        self._dropped_bytes = 0  # before the buffer

    def names(self) -> Iterator[str]:
        """Go through the members by their names. Raises InvalidJson, when it comes to it."""
        while len(self._buffer) < len(codecs.BOM_UTF8) and self._fill():
            pass
        if self._buffer.startswith(codecs.BOM_UTF8):  # as PowerShell and others write it; RFC 8259 lets it be ignored
            self._at = len(codecs.BOM_UTF8)
        self._expect(b"{", "an object")
        if self._next() == b"}":
            self._at += 1
        else:
            while True:
                yield self._name()
                if self._next() != b",":
                    break
                self._at += 1
            self._expect(b"}", "} or a comma")
        if self._next():
            self._fail("nothing more")

    def value(self, limit_bytes: int) -> bytes:
        """Take the value as the JSON that it is. Raises InvalidJson, and InvalidRequest if it is longer."""
        value, depth = bytearray(), 0
        while True:
            following = self._peek()
            if not following:
                self._fail("the rest of a value")
            if depth == 0 and following in b",}]":
                return bytes(value)
            if following == b'"':
                for run in self._string():
                    value += run
                    _require_short(value, limit_bytes)
                continue
            depth += (following in b"{[") - (following in b"}]")
            value += following
            self._at += 1
            _require_short(value, limit_bytes)

    def base64(self) -> "Base64":
        """Take the value as a picture: a string of base64, or a data: URL of such. Raises InvalidRequest."""
        if self._next() != b'"':
            raise InvalidRequest("`image` must be a string: the picture in base64, or as a data: URL")
        return Base64(self._string())

    def _name(self) -> str:
        if self._next() != b'"':
            self._fail("a name in quotes")
        name = b""
        for run in self._string():
            name += run
            _require_short(name, _NAME_LIMIT_BYTES)
        self._expect(b":", "a colon")
        self._next()
        return _text(name)

    def _string(self) -> Iterator[bytes]:
        """Take a string, with its quotes, as it stands there; no piece ends within the two characters of an escape."""
        self._at += 1
        yield b'"'
        while True:
            run = _STRING_RUN.match(self._buffer, self._at)
            if run and run[0]:
                self._at = run.end()
                yield run[0]
            if self._buffer[self._at : self._at + 1] == b'"':
                self._at += 1
                yield b'"'
                return
            if not self._fill():
                self._fail("the end of a string")

    def _expect(self, byte: bytes, what: str) -> None:
        if self._next() != byte:
            self._fail(what)
        self._at += 1

    def _next(self) -> bytes:
        """Skip blanks and return the byte that follows; none at the end."""
        while (byte := self._peek()) and byte in _BLANK:
            self._at += 1
        return byte

    def _peek(self) -> bytes:
        while self._at >= len(self._buffer):
            if not self._fill():
                return b""
        return self._buffer[self._at : self._at + 1]

    def _fill(self) -> bool:
        chunk = self._stream.read(_CHUNK_BYTES)
        self._dropped_bytes += self._at
        self._buffer, self._at = self._buffer[self._at :] + chunk, 0
        return bool(chunk)

    def _fail(self, expected: str) -> NoReturn:
        raise InvalidJson(f"the body: {expected} expected at byte {self._dropped_bytes + self._at}")


class Base64:
    """What a string of base64 holds, to be read as it comes. Strict: RFC 4648, section 4, with its padding."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._escaped = b""  # of the JSON, not unescaped yet
        self._encoded = b""  # not decoded yet
        self._decoded = b""
        self._is_begun = self._is_padded = self._is_over = False
        next(pieces)  # the quote

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; none at the end. Raises InvalidRequest, InvalidJson."""
        while not self._decoded and not self._is_over:
            self._decode(self._unescaped(next(self._pieces)))
        taken, self._decoded = self._decoded[:size], self._decoded[size:]
        return taken

    def _unescaped(self, piece: bytes) -> bytes:
        self._is_over = piece == b'"'  # a quote within the string would not stand alone
        escaped = self._escaped if self._is_over else self._escaped + piece
        cut = len(escaped)
        if not self._is_over and (last := escaped.rfind(b"\\", -_LONGEST_ESCAPE_BYTES)) >= 0:
            cut = last
        escaped, self._escaped = escaped[:cut], escaped[cut:]
        return _text(b'"' + escaped + b'"').encode() if b"\\" in escaped else escaped

    def _decode(self, more: bytes) -> None:
        self._encoded += more
        if not self._is_begun:
            if len(self._encoded) < _DATA_URL_LIMIT_BYTES and not self._is_over:
                return
            self._is_begun = True
            self._encoded = _without_data_url(self._encoded)
        end = len(self._encoded) if self._is_over else len(self._encoded) // 4 * 4
        whole, self._encoded = self._encoded[:end], self._encoded[end:]
        if not whole:
            return
        if self._is_padded:
            raise InvalidRequest("`image` is no base64: something follows its padding")
        try:
            self._decoded = binascii.a2b_base64(whole, strict_mode=True)
        except binascii.Error as error:
            raise InvalidRequest(
                f"`image` is no base64 (RFC 4648, without line breaks, as base64 -w 0 writes it): {str(error).lower()}"
            ) from None
        self._is_padded = whole.endswith(b"=")


def _without_data_url(begin: bytes) -> bytes:
    if begin[:5].lower() != b"data:":
        return begin
    url = _DATA_URL.match(begin)
    if not url or not url[0].lower().endswith(b";base64,"):
        raise InvalidRequest("`image` is a data: URL without ;base64, in its beginning, as in data:image/jpeg;base64,…")
    return begin[url.end() :]


def _text(quoted: bytes) -> str:
    try:
        return msgspec.json.decode(quoted, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJson(f"the body: {error}") from None


def _require_short(value: bytes | bytearray, limit_bytes: int) -> None:
    if len(value) > limit_bytes:
        raise InvalidRequest(f"{bytes(value[:40]).decode(errors='replace')!r} … has more than {limit_bytes} bytes")
