"""Under which names the box may be spoken to: those that nobody on the internet can make his own.

A page of elsewhere can let its own name lead to this box (DNS rebinding), and a browser would take the answers for that
page's. So whoever speaks to a name that anybody can register is refused, unless the owner has set it as `host_names`.
"""

import contextlib
import ipaddress
import os
import re
from pathlib import Path

import falcon

from pivision.errors import HostUnknown

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:]+)(:[0-9]*)?")
_PRIVATE = (".local", ".lan", ".internal", ".home.arpa")
_HOSTS_FILE = Path("/etc/hosts")


class HostCheck:
    """Middleware: refuses the names that are not known."""

    def __init__(self, names: list[str]) -> None:
        self._names = {name.lower().rstrip(".") for name in names}

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raise what `check` raises."""
        self.check(req)

    def check(self, req: falcon.Request) -> None:
        """Raise HostUnknown. Browsers always send the header; whoever sends none is not one."""
        host = req.get_header("Host")
        if host and not self._is_known(host):
            raise HostUnknown(f"this box is not known as {host[:80]!r}")

    def _is_known(self, host: str) -> bool:
        parts = _HOST.fullmatch(host.lower())
        if not parts:
            return False
        name = parts[1].rstrip(".")
        if _is_address(name):
            return True
        return (
            "." not in name  # nobody can register these; localhost is one
            or name.endswith(_PRIVATE)
            or name in self._names
            or name in own_names()
        )


def own_names(hosts_file: Path = _HOSTS_FILE) -> set[str]:
    """The machine's name, and what stands beside it in /etc/hosts. No resolver is asked: it might take long."""
    mine = os.uname().nodename.lower()
    names = {mine}
    with contextlib.suppress(OSError):
        for line in hosts_file.read_text(errors="replace").lower().splitlines():
            _, *aliases = line.partition("#")[0].split() or [""]
            if mine in aliases:
                names.update(aliases)
    return names


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
