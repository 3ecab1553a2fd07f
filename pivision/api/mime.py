"""Header lines, their parameters and charsets, as real clients write them (RFC 2045, 2231, 5987, 7578)."""

import re
import urllib.parse

from pivision.errors import InvalidRequest

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PARAMETER = re.compile(r';\s*([^\s=;"]++)\s*=\s*("(?:[^"\\]|\\.)*+"\s*(?=;|$)|[^;]*+)', re.DOTALL)
_EXTENDED = re.compile(r"([A-Za-z0-9-]+)'[A-Za-z0-9-]*'(.*)", re.DOTALL)
_FOLD = re.compile(rb"\r\n[ \t]+")
_SHOWN_CHARACTERS = 80

_CHARSETS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "latin-1",
    "latin1": "latin-1",
    "latin-1": "latin-1",
    "iso-8859-15": "iso-8859-15",
    "windows-1252": "windows-1252",
    "cp1252": "windows-1252",
}


def media_type(header: str) -> str:
    """Return the value alone, without parameters and in lower case."""
    return header.partition(";")[0].strip().lower()


def parameters(header: str) -> dict[str, str]:
    """Return what follows the value as `; NAME=VALUE`, quoted or not. Raises InvalidRequest for two of one name."""
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(header):
        name, value = match[1].lower(), match[2].strip()
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
        if found.setdefault(name, value) != value:
            raise InvalidRequest(f"{header[:_SHOWN_CHARACTERS]!r} has {name[:_SHOWN_CHARACTERS]!r} twice")
    return found


def extended(value: str) -> str:
    """Return the text of CHARSET'LANGUAGE'PERCENT-ENCODED (RFC 5987). Raises InvalidRequest."""
    match = _EXTENDED.fullmatch(value)
    if not match:
        raise InvalidRequest(f"{value[:_SHOWN_CHARACTERS]!r} is not CHARSET'LANGUAGE'PERCENT-ENCODED (RFC 5987)")
    return decoded("the name of a part", urllib.parse.unquote_to_bytes(match[2]), charset(match[1]))


def charset(name: str) -> str:
    """Return Python's name for a charset. Raises InvalidRequest for one that is not known."""
    known = _CHARSETS.get(name.strip().lower())
    if known is None:
        raise InvalidRequest(f"the charset {name[:_SHOWN_CHARACTERS]!r} is not known; send UTF-8")
    return known


def decoded(what: str, value: bytes, encoding: str = "utf-8") -> str:
    """Return the text that a client has sent as `what`. Raises InvalidRequest for what is none, and for a NUL."""
    try:
        text = value.decode(encoding)
    except UnicodeDecodeError as error:
        wrong = f"byte {error.start} is {value[error.start]:#04x}"
        raise InvalidRequest(f"{what} is not {encoding.upper()}: {wrong}") from None
    require_no_nul(what, text)
    return text


def require_no_nul(what: str, text: str) -> None:
    """Raise InvalidRequest for a text with a NUL character: no name and no description has one."""
    if "\0" in text:
        raise InvalidRequest(f"{what} has a NUL character at position {text.index(chr(0))}")


def header_lines(head: bytes) -> dict[str, str]:
    """Return header lines by their lower-case names; names of files may be UTF-8 or Latin-1. Raises InvalidRequest."""
    lines = _FOLD.sub(b" ", head).split(b"\r\n") if head else []
    headers: dict[str, str] = {}
    for line in lines:
        if re.search(rb"[\r\n\0]", line):
            raise InvalidRequest("the head of a part has a bare CR or LF or a NUL; lines of a form end with CR LF")
        try:
            text = line.decode()
        except UnicodeDecodeError:
            text = line.decode("latin-1")
        name, colon, value = text.partition(":")
        if not colon or not _TOKEN.fullmatch(name):
            raise InvalidRequest(f"the head of a part has {text[:_SHOWN_CHARACTERS]!r}, which is not NAME: VALUE")
        if headers.setdefault(name.lower(), value.strip()) != value.strip():
            raise InvalidRequest(f"the head of a part has {name[:_SHOWN_CHARACTERS]} twice")
    return headers
