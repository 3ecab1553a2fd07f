"""Whether the head of a request is well-formed, where waitress is lenient: RFC 9112, sections 2 to 6.

Two programs that read one head differently can be played off against each other (request smuggling), so whatever is
ambiguous is refused and the connection closed.
"""

import re

from pivision.errors import HeaderTooLarge, HttpVersionUnsupported, InvalidRequest

END = b"\r\n\r\n"

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_VERSION = re.compile(rb" HTTP/([^ ]*)$", re.IGNORECASE)
_VERSIONS = (b"1.0", b"1.1")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+(%25[A-Za-z0-9._~-]+)?\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(:[0-9]{0,5})?")
_LENGTH = re.compile(rb"[0-9]{1,18}")


def require_beginning(received: bytes, max_bytes: int) -> None:
    """Raise InvalidRequest or HeaderTooLarge if `received`, which has no end yet, can never become a good head."""
    if received and not _TOKEN.match(received):
        raise InvalidRequest("this is not HTTP: a request begins with a method")
    if _BARE_LF.search(received):
        raise InvalidRequest("a line of the head ends with LF alone, not with CR LF")
    if len(received) > max_bytes:
        raise HeaderTooLarge(f"the head has more than {max_bytes} bytes (max_head_bytes)")


def require_well_formed(head: bytes, max_lines: int) -> None:
    """Check a whole head, up to and including the empty line.

    Raises InvalidRequest, HttpVersionUnsupported or HeaderTooLarge.
    """
    request_line, *lines = head[: -len(END)].split(b"\r\n")
    version = _VERSION.search(request_line)
    if version is None:
        raise InvalidRequest("the request line has no HTTP version")
    if version[1] not in _VERSIONS:
        raise HttpVersionUnsupported(f"HTTP/{version[1][:10].decode('latin-1')} is not spoken here, HTTP/1.1 is")
    if len(lines) > max_lines:
        raise HeaderTooLarge(f"the head has more than {max_lines} lines (max_head_lines)")
    fields: dict[bytes, list[bytes]] = {}
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            raise InvalidRequest("a header line is folded, which HTTP/1.1 has done away with")
        if _CONTROL.search(line):
            raise InvalidRequest("a header line has a control character")
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(name):
            raise InvalidRequest(f"a header line is malformed: {line[:40].decode('latin-1')!r}")
        fields.setdefault(name.lower(), []).append(value.strip(b" \t"))
    _require_host(fields.get(b"host", []), is_required=version[1] == b"1.1")
    _require_framing(fields.get(b"content-length", []), fields.get(b"transfer-encoding", []), version[1])


def _require_host(hosts: list[bytes], is_required: bool) -> None:
    if len(hosts) > 1:
        raise InvalidRequest("the header Host is there more than once")
    if is_required and not hosts:
        raise InvalidRequest("the header Host is missing")
    if hosts and (hosts[0] or is_required) and not _HOST.fullmatch(hosts[0]):
        raise InvalidRequest(f"the header Host is invalid: {hosts[0][:80].decode('latin-1')!r}")


def _require_framing(lengths: list[bytes], encodings: list[bytes], version: bytes) -> None:
    if lengths and encodings:
        raise InvalidRequest("Content-Length and Transfer-Encoding exclude each other")
    if len(lengths) > 1:
        raise InvalidRequest("the header Content-Length is there more than once")
    if lengths and not _LENGTH.fullmatch(lengths[0]):
        raise InvalidRequest("Content-Length must be a whole number of at most 18 digits")
    if encodings and version != b"1.1":
        raise InvalidRequest("HTTP/1.0 knows no Transfer-Encoding")
    if encodings and [each.lower() for each in encodings] != [b"chunked"]:
        raise InvalidRequest("the only Transfer-Encoding that is read is `chunked`, once")
