"""What `make run` prints: the addresses of the box, and a QR code of the first one that a phone reaches."""

import ipaddress
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import zxingcpp

from pivision import listening
from pivision.config import Settings

_AVAHI = Path("/run/avahi-daemon/socket")  # who answers for the host's name with .local
_IPV6 = Path("/proc/net/if_inet6")
_TEMPORARY, _DAD_FAILED, _DEPRECATED, _TENTATIVE = 0x01, 0x08, 0x20, 0x40  # linux/if_addr.h
_GLOBAL_SCOPE = 0x00
_OF_CONTAINERS = ("docker", "br-", "veth", "virbr", "lxc", "cni", "podman")  # nobody else is in these networks
_DARK_ON_LIGHT = "\x1b[38;5;16;48;5;231m"  # black on white, whatever the terminal's own colours are
_RESET = "\x1b[0m"


def show(settings: Settings, token: str | None) -> None:
    """Print the greeting; its last lines are the addresses, that for phones first, then that for this machine."""
    query = f"/?token={token}" if token else "/"
    local = listening.reachable_host(settings.host)
    others = [host for host in reaching(settings.host) if host != local]
    addresses = [listening.url(host, settings.port) + query for host in (*others[:1], local, *others[1:])]
    lines = []
    if others and _has_blocks():
        lines += [f"    {line}" for line in qr_code(addresses[0], is_coloured=sys.stdout.isatty())]
        lines += ["", "    Scan the code with a phone of the same network, or open an address below."]
    lines += [f"    Ctrl-C stops it, within half a minute; its logs are in {settings.log_dir}", ""]
    lines += [f"    PiVision: {address}" for address in addresses]
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write("\n".join(["", *lines, ""]).encode(encoding, "replace").decode(encoding))  # of the folder's name
    sys.stdout.flush()


def reaching(host: str) -> list[str]:
    """Return the addresses and names by which other machines reach a server that listens on `host`, the best first."""
    if host not in listening.EVERY_ADDRESS:
        reachable = listening.reachable_host(host)
        is_local = listening.is_address(reachable) and ipaddress.ip_address(reachable).is_loopback
        return [] if is_local else [reachable]
    found = _ipv4_addresses()
    if _AVAHI.exists():
        found.insert(1, f"{os.uname().nodename.partition('.')[0]}.local")
    return found if host == "0.0.0.0" else [*found, *_ipv6_addresses()]  # noqa: S104


def qr_code(text: str, *, is_coloured: bool) -> Iterator[str]:
    """Yield the lines of a QR code, two rows of modules in each.

    Without colours, light modules are full blocks: right on a dark terminal, and most readers take the other, too.
    """
    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode)
    drawn: Any = code.to_image(scale=1, add_quiet_zones=True)
    rows: list[list[int]] = memoryview(drawn).tolist()  # type: ignore[assignment]  # of two dimensions
    if len(rows) % 2:
        rows.append([255] * len(rows[0]))
    for upper, lower in zip(rows[::2], rows[1::2], strict=True):
        pairs = ((top > 0, bottom > 0) for top, bottom in zip(upper, lower, strict=True))
        if is_coloured:
            yield _DARK_ON_LIGHT + "".join("█▀▄ "[2 * dark[0] + dark[1]] for dark in pairs) + _RESET
        else:
            yield "".join(" ▄▀█"[2 * light[0] + light[1]] for light in pairs)


def _has_blocks() -> bool:
    """Whether the terminal has the characters that the code is made of."""
    try:
        "█▀▄".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _ipv4_addresses() -> list[str]:
    """Those of the interfaces that are up; first the one that this machine sends from."""
    states = psutil.net_if_stats()
    found = [
        address.address
        for name, addresses in psutil.net_if_addrs().items()
        if not name.startswith(_OF_CONTAINERS) and name in states and states[name].isup
        for address in addresses
        if address.family == socket.AF_INET and not ipaddress.ip_address(address.address).is_loopback
    ]
    first = _sending_address()
    return sorted(dict.fromkeys(found), key=lambda address: address != first)


def _ipv6_addresses() -> list[str]:
    """Those that last and that other machines can route to; link-local ones no browser takes."""
    try:
        lines = _IPV6.read_text(encoding="ascii").splitlines()
    except OSError:  # a kernel without IPv6
        return []
    return list(_lasting(lines))


def _lasting(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        digits, _, _, scope, flags, name = line.split()
        passing = int(flags, 16) & (_TEMPORARY | _DAD_FAILED | _DEPRECATED | _TENTATIVE)
        if int(scope, 16) == _GLOBAL_SCOPE and not passing and not name.startswith(_OF_CONTAINERS):
            yield str(ipaddress.IPv6Address(int(digits, 16)))


def _sending_address() -> str:
    """The address that this machine would send from; connecting a datagram socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1: nobody has it
        except OSError:
            return ""
        return str(probe.getsockname()[0])
