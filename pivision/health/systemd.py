"""What health says to systemd: the protocol of sd_notify(3), one datagram for each word.

https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

import contextlib
import os
import socket
import weakref
from collections.abc import Mapping


class Systemd:
    """The service manager that started this tree, if there is one; without it, every word goes nowhere."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        # Open all the time: when no descriptor is left, the watchdog must be fed all the same.
        self._speaker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        weakref.finalize(self, self._speaker.close)
        self.is_watching = bool(address and environment.get("WATCHDOG_USEC"))

    def ready(self) -> None:
        """`systemctl start` returns."""
        self._say("READY=1")

    def status(self, sentence: str) -> None:
        """What `systemctl status` shows."""
        self._say(f"STATUS={sentence}")

    def well(self) -> None:
        """Feed the watchdog: whoever says nothing for WatchdogSec is restarted with the whole tree."""
        self._say("WATCHDOG=1")

    def restart_tree(self) -> None:
        """Let the watchdog bite now."""
        self._say("WATCHDOG=trigger")

    def _say(self, word: str) -> None:
        if self._address:
            with contextlib.suppress(OSError):
                self._speaker.sendto(word.encode(), self._address)
