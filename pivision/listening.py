"""Where the server listens, and where this machine and others reach it. Standard library only."""

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

EVERY_ADDRESS = ("::", "0.0.0.0", "")  # noqa: S104
"""Hosts that stand for all addresses: `::` is those of IPv6 and IPv4, `0.0.0.0` those of IPv4."""

_NOT_HERE = (errno.EADDRNOTAVAIL, errno.ENODEV)
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


class Candidate(NamedTuple):
    """An address that a host stands for."""

    family: socket.AddressFamily
    address: Any  # as socket.bind takes it


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to `host`:`port`, ready for listen().

    `::` takes connections of IPv6 and IPv4, and of IPv4 alone where there is no IPv6. Raises OSError.
    """
    failure = OSError(errno.EADDRNOTAVAIL, "no address")
    for candidate in _candidates(host, port):
        try:
            return _bound(candidate)
        except OSError as error:
            failure = error
            if error.errno not in (*_NOT_HERE, *_NO_IPV6):
                break
    raise failure


def reachable_host(host: str) -> str:
    """Return the address at which this machine reaches a server that listens on `host`; `host` while there is none."""
    if host in EVERY_ADDRESS:
        return "127.0.0.1"
    if is_address(host):
        return host
    with contextlib.suppress(OSError):
        for candidate in _candidates(host, 0):
            with contextlib.suppress(OSError):
                _bound(candidate).close()
                return str(candidate.address[0])
    return host


def url(host: str, port: int) -> str:
    """Return the address as browsers and curl write it, without a slash at its end."""
    if ":" not in host:
        return f"http://{host}:{port}"
    return f"http://[{host.replace('%', '%25')}]:{port}"  # RFC 6874: before the name of the interface


def absence(host: str) -> str | None:
    """Return why nothing can listen on `host` now although its port is free; None if something can."""
    try:
        listening_socket(host, 0).close()
    except socket.gaierror as error:
        return f"{host} is no known name ({error.strerror})"
    except OSError as error:
        if error.errno in _NOT_HERE:
            return f"{host} is no address of this machine at the moment"
    return None


def plain_address(address: str) -> str:
    """Return a client's address; one of IPv4 that came in by a socket of IPv6 as that of IPv4."""
    return address.removeprefix("::ffff:") if "." in address else address


def is_address(host: str) -> bool:
    """Whether `host` is an IP address and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _candidates(host: str, port: int) -> Iterator[Candidate]:
    """The addresses of `host`, for a name those of IPv4 first, since every client reaches them. Raises gaierror."""
    if host in ("::", ""):
        yield Candidate(socket.AF_INET6, ("::", port))
        yield Candidate(socket.AF_INET, ("0.0.0.0", port))  # noqa: S104
        return
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, _, _, _, address in sorted(found, key=lambda each: each[0] != socket.AF_INET):
        yield Candidate(family, address)


def _bound(candidate: Candidate) -> socket.socket:
    made = socket.socket(candidate.family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if candidate.family == socket.AF_INET6:
            is_one_address = candidate.address[0] != "::"
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(is_one_address))
        made.bind(candidate.address)
    except OSError:
        made.close()
        raise
    return made
