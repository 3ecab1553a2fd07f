"""Whether the service answers, and what to show when it does not."""

import http.client
import socket
import time
import urllib.error
import urllib.request

from pivision import listening
from pivision.errors import InstallationFailed
from pivision.install import unit
from pivision.install.account import Account
from pivision.install.place import Place

_WAIT_SECONDS = 60.0  # after systemctl, which has waited for up to 60 s for a first answer already
_PAUSE_SECONDS = 0.25


def wait(root: Account, place: Place) -> None:
    """Wait until the service says that it can take and finish a task: /readyz answers 200.

    Raises InstallationFailed, with what systemd and the journal say, after a minute.
    """
    give_up = time.monotonic() + _WAIT_SECONDS
    while not _is_ready(f"{place.url}/readyz"):
        if time.monotonic() > give_up:
            raise InstallationFailed(f"no 200 from {place.url}/readyz within {_WAIT_SECONDS:g} s\n{report(root)}")
        time.sleep(_PAUSE_SECONDS)


def report(root: Account) -> str:
    """What `systemctl status` and `journalctl` show, as its reader would see it after typing that."""
    status = ["systemctl", "status", unit.NAME, "--no-pager", "--full", "--lines=0"]
    journal = ["journalctl", "--unit", unit.NAME, "--no-pager", "--lines=25", "--output=cat"]
    return "\n".join(
        f"$ {' '.join(command)}\n{root.attempt(command, 60).stdout.rstrip()}" for command in (status, journal)
    )


def address(place: Place) -> str:
    """Where other machines of this network find the server."""
    return listening.url(_own_address(), place.port) if place.host in listening.EVERY_ADDRESS else place.url


def _is_ready(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by a proxy
    try:
        with opener.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException, urllib.error.URLError):
        return False


def _own_address() -> str:
    """The address that this machine would send from; connecting a datagram socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address that nobody has
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
