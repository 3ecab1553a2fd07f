"""Notices to the owner's webhook: each is a file in the outbox until the other side has taken it.

Delivered by a thread of their own, so that a slow other side does not keep health from its rounds.
"""

import collections
import contextlib
import json
import logging
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from pivision import program
from pivision.history import Event

KEPT = 100
"""The newest so many wait; a box that is offline for weeks does not fill its disk."""

PAUSES_SECONDS = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Between the attempts; the last one repeats."""

_TIMEOUT_SECONDS = 10.0


class Notices:
    """The outbox. Without a URL nothing is kept."""

    def __init__(self, outbox: Path, url: str, log: logging.Logger) -> None:
        self._outbox = outbox
        self._url = url
        self._log = log
        self._news = threading.Event()
        self._unwritten: collections.deque[bytes] = collections.deque(maxlen=KEPT)
        if url:
            threading.Thread(target=self._deliver, daemon=True).start()

    def put(self, event: Event) -> None:
        """Send word of an event, in the end: one that a full disk does not take can be lost with this process alone."""
        if not self._url:
            return
        notice = json.dumps({"box": socket.gethostname(), **event._asdict()}).encode()
        try:
            program.make_private_folder(self._outbox)
            for old in self._waiting()[: -KEPT + 1]:
                old.unlink(missing_ok=True)
            program.write_durably(self._outbox / f"{event.number:08}.json", notice)
        except OSError:
            self._unwritten.append(notice)
        self._news.set()

    def _waiting(self) -> list[Path]:
        return sorted(self._outbox.glob("*.json"))

    def _deliver(self) -> None:
        failures = 0
        while True:
            self._news.clear()
            fault = ""
            for file in self._waiting():
                with contextlib.suppress(FileNotFoundError):  # dropped meanwhile
                    fault = self._post(file.read_bytes())
                    if fault:
                        break
                    file.unlink()
            while self._unwritten and not fault:
                fault = self._post(self._unwritten[0])
                if not fault:
                    self._unwritten.popleft()
            if not fault:
                failures = 0
                self._news.wait()
                continue
            if not failures:  # one line for each trouble; the host alone, for the path may be a secret
                self._log.warning("notices to %s wait: %s", urllib.parse.urlsplit(self._url).hostname, fault)
            threading.Event().wait(PAUSES_SECONDS[min(failures, len(PAUSES_SECONDS) - 1)])
            failures += 1

    def _post(self, notice: bytes) -> str:
        """What went wrong, or "" when the other side has taken it."""
        request = urllib.request.Request(  # noqa: S310  # config.py lets only http and https through
            self._url, notice, {"Content-Type": "application/json", "User-Agent": "PiVision"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):  # noqa: S310
                return ""
        except urllib.error.HTTPError as refusal:
            return f"answered {refusal.code}"
        except (OSError, ValueError) as error:
            return type(error).__name__
