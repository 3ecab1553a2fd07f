"""Rate limit for wrong access tokens, per client address. A token that is known good at an address is exempt there."""

import contextlib
import ipaddress
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from pivision import program
from pivision.errors import TooManyAttempts

_AT_ONCE = 30
_PER_SECOND = 1.0
_ADDRESSES = 1024
_PAIRS = 1024
_PAIRS_OF_TOKEN = 64  # so that one token that is used from everywhere pushes nobody else's out
_IPV6_PREFIX = 64  # what one customer has to himself: whoever guesses could use any address in it
_LINE = re.compile(r"([0-9a-f]{64}) ([0-9a-f.:/]{1,64})")


class Slowing:
    """Token bucket of wrong tokens for each of the latest addresses; what it keeps is bounded.

    The known-good pairs of address and token are kept in `file`, if given: beside a client that guesses from the same
    address, as through one router, the owner is let in after a restart, too.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, file: Path | None = None) -> None:
        self._clock = clock
        self._file = file
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # how many more are looked at, as of when
        self._right: OrderedDict[tuple[str, str], None] = OrderedDict(dict.fromkeys(self._read()))
        if file and not file.exists():
            self._write()  # there from the start: no request is what makes a file

    def check(self, address: str, digest: str) -> None:
        """Raise TooManyAttempts when the token with this digest must not be looked at now."""
        address = _network(address)
        with self._lock:
            if (address, digest) not in self._right and self._left_of(address) < 1:
                raise TooManyAttempts(
                    f"this address has sent too many wrong tokens: {_AT_ONCE}, and one more each second, are looked at"
                )

    def wrong(self, address: str, digest: str) -> None:
        """Record a failed attempt."""
        address = _network(address)
        with self._lock:
            self._right.pop((address, digest), None)  # it has been one
            self._left[address] = max(0.0, self._left_of(address) - 1), self._clock()
            self._left.move_to_end(address)
            if len(self._left) > _ADDRESSES:
                self._left.popitem(last=False)

    def right(self, address: str, digest: str) -> None:
        """Record a successful attempt."""
        pair = _network(address), digest
        with self._lock:
            is_new = pair not in self._right
            self._right[pair] = None
            self._right.move_to_end(pair)
            if is_new:
                self._make_room(digest)
                self._write()

    def _make_room(self, digest: str) -> None:
        of_token = [pair for pair in self._right if pair[1] == digest]
        if len(of_token) > _PAIRS_OF_TOKEN:
            del self._right[of_token[0]]
        if len(self._right) > _PAIRS:
            self._right.popitem(last=False)

    def _left_of(self, address: str) -> float:
        now = self._clock()
        left, since = self._left.get(address, (float(_AT_ONCE), now))
        return min(float(_AT_ONCE), left + (now - since) * _PER_SECOND)

    def _read(self) -> list[tuple[str, str]]:
        """The pairs of the file; without one, or with a damaged one, those that are still legible."""
        content = ""
        if self._file:
            with contextlib.suppress(OSError):
                content = self._file.read_text(encoding="ascii", errors="replace")
        lines = [line for each in content.splitlines() if (line := _LINE.fullmatch(each))]
        return [(line[2], line[1]) for line in lines[-_PAIRS:]]

    def _write(self) -> None:
        """Keep the pairs. A full disk costs only the exemption after a restart."""
        if self._file and self._file.parent.is_dir():  # never the folder: health restores a missing one
            lines = "".join(f"{digest} {address}\n" for address, digest in self._right)
            with contextlib.suppress(OSError):
                program.write_durably(self._file, lines.encode())


def _network(address: str) -> str:
    """Return what counts as one client: an IPv4 address, also one written as IPv6, or the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # of a Unix socket or a test
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
