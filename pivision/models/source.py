"""Where a model's file is read from, and how: a folder, a file:// address, or http(s) with the standard library.

Whatever is waited for has an end. What comes is told with its position in the file, since a server that is asked for
the rest (RFC 9110, 14.2) may send the whole instead.
"""

import http.client
import queue
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from pivision import __version__
from pivision.errors import DownloadFailed, WrongFile
from pivision.models.model import Origin

SCHEMES = ("http", "https", "file")

_CHUNK_BYTES = 1 << 16
_SOCKET_SECONDS = 10.0  # for a connection, and for each answer to a read
_AHEAD_CHUNKS = 16  # read while a slow disk writes
_UNWANTED_SECONDS = 60.0  # nobody takes what was read: whoever wanted it has given up

Piece = tuple[int, bytes]
"""Some bytes of a file, and where in it they begin."""

_Message = Piece | Exception | None
"""What the reading thread tells: a piece, why there is none, or that this was all."""


def address(origin: Origin, file: str, mirror: str) -> str:
    """Where `file` is to be read from: the mirror, which is a folder or an address, or else where it comes from."""
    if not mirror:
        return origin.url
    if "://" in mirror:
        return f"{mirror.rstrip('/')}/{urllib.parse.quote(file)}"
    return Path(mirror, file).absolute().as_uri()


def pieces(source: str, offset: int, size_bytes: int, silence_seconds: float) -> Iterator[Piece]:
    """The file at `source` from `offset` on, or from its beginning where only all of it can be had.

    Raises DownloadFailed, also when nothing comes for `silence_seconds`; WrongFile if it is not of this size.
    """
    came: queue.Queue[_Message] = queue.Queue(_AHEAD_CHUNKS)
    reading = _reading(source, offset, size_bytes, min(_SOCKET_SECONDS, silence_seconds))
    # In a thread: no time limit of a socket reaches the name server, or a folder on a disk of the network that is gone.
    threading.Thread(target=_tell, args=[reading, came], daemon=True).start()
    while True:
        try:
            message = came.get(timeout=silence_seconds)
        except queue.Empty:
            raise DownloadFailed(f"{source}: nothing came for {silence_seconds:g} s") from None
        if message is None:
            return
        if isinstance(message, WrongFile):
            raise message
        if isinstance(message, Exception):
            raise DownloadFailed(f"{source}: {_reason(message)}") from None
        yield message


def _tell(reading: Iterator[Piece], came: "queue.Queue[_Message]") -> None:
    try:
        try:
            for piece in reading:
                came.put(piece, timeout=_UNWANTED_SECONDS)
            came.put(None, timeout=_UNWANTED_SECONDS)
        except (OSError, http.client.HTTPException, ValueError, WrongFile) as error:  # ValueError: no address at all
            came.put(error, timeout=_UNWANTED_SECONDS)
    except queue.Full:
        return


def _reading(source: str, offset: int, size_bytes: int, seconds: float) -> Iterator[Piece]:
    parts = urllib.parse.urlsplit(source)
    if parts.scheme not in SCHEMES:
        raise ValueError(f"only {', '.join(SCHEMES)} can be read")
    if parts.scheme == "file":
        yield from _reading_file(source, Path(urllib.request.url2pathname(parts.path)), offset, size_bytes)
    else:
        yield from _reading_http(source, offset, size_bytes, seconds)


def _reading_file(source: str, file: Path, offset: int, size_bytes: int) -> Iterator[Piece]:
    with file.open("rb") as stream:
        _check_size(source, file.stat().st_size, size_bytes)
        stream.seek(offset)
        while chunk := stream.read(_CHUNK_BYTES):
            yield offset, chunk
            offset += len(chunk)


def _reading_http(source: str, offset: int, size_bytes: int, seconds: float) -> Iterator[Piece]:
    answer, position = _answer(source, offset, size_bytes, seconds)
    with answer:
        if position == 0 and answer.length is not None:
            _check_size(source, answer.length, size_bytes)
        while chunk := answer.read1(min(_CHUNK_BYTES, size_bytes - position + 1)):
            if position + len(chunk) > size_bytes:
                raise WrongFile(f"{source} sends more than the {size_bytes} bytes of the model's file")
            yield position, chunk
            position += len(chunk)
    if position < size_bytes:
        raise ConnectionError(f"the connection ended after {position} of {size_bytes} bytes")


def _answer(source: str, offset: int, size_bytes: int, seconds: float) -> tuple[http.client.HTTPResponse, int]:
    """The server's answer, and the position in the file at which it begins."""
    headers = {"User-Agent": f"PiVision/{__version__}"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        answer = _opener().open(urllib.request.Request(source, headers=headers), timeout=seconds)  # noqa: S310
    except urllib.error.HTTPError as refusal:
        refusal.close()
        if offset and refusal.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return _answer(source, 0, size_bytes, seconds)
        raise
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT and offset:
        expected = f"bytes {offset}-{size_bytes - 1}/"
        if answer.headers.get("Content-Range", "") in (f"{expected}{size_bytes}", f"{expected}*"):
            return answer, offset
        answer.close()
        return _answer(source, 0, size_bytes, seconds)
    if answer.status != http.HTTPStatus.OK:
        answer.close()
        raise ConnectionError(f"HTTP {answer.status} {answer.reason}")
    return answer, 0


def _opener() -> urllib.request.OpenerDirector:
    """What urllib has, without those for ftp, data and files: a redirect leads to http or https, or nowhere."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


def _check_size(source: str, there: int, size_bytes: int) -> None:
    if there != size_bytes:
        raise WrongFile(f"{source} has {there} bytes, the model's file {size_bytes}: it is another file")


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return _reason(error.reason) if isinstance(error.reason, Exception) else str(error.reason)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
