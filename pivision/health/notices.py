"""Notices to the owner's webhook: each is a file in the outbox until the other side has taken it.

Delivered by a thread of their own, so that a slow other side does not keep health from its rounds.
"""

import collections
import contextlib
import json
import logging
import socket
import threading
from pathlib import Path

from pivision import program
from pivision.health.webhook import Webhook
from pivision.history import Event

KEPT = 100
"""The newest so many wait; a box that is offline for weeks does not fill its disk."""

PAUSES_SECONDS = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Between the attempts; the last one repeats."""

SECRET_FILE = "notice-secret"  # noqa: S105  # the name of the file
"""In the folder of the secrets: what notices are signed with, placed there by the owner."""


class Notices:
    """The outbox of a data folder. Without a URL nothing is kept."""

    def __init__(self, outbox: Path, url: str, log: logging.Logger) -> None:
        self._outbox = outbox
        self._webhook = Webhook(url, outbox.parent / "secrets" / SECRET_FILE) if url else None
        self._log = log
        self._news = threading.Event()
        self._unwritten: collections.deque[bytes] = collections.deque(maxlen=KEPT)
        if self._webhook:
            threading.Thread(target=self._deliver, args=(self._webhook,), daemon=True).start()

    def put(self, event: Event) -> None:
        """Send word of an event, in the end: one that a full disk does not take can be lost with this process alone."""
        if not self._webhook:
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

    def _deliver(self, webhook: Webhook) -> None:
        failures = 0
        while True:
            self._news.clear()
            fault = ""
            try:
                for file in self._waiting():
                    with contextlib.suppress(FileNotFoundError):  # dropped meanwhile
                        fault = webhook.post(file.read_bytes())
                        if fault:
                            break
                        file.unlink()
            except OSError as error:  # of the disk, and it may pass
                fault = f"{error.filename}: {error.strerror}"
            while self._unwritten and not fault:
                fault = webhook.post(self._unwritten[0])
                if not fault:
                    self._unwritten.popleft()
            if not fault:
                failures = 0
                self._news.wait()
                continue
            if not failures:  # one line for each trouble
                self._log.warning("notices to %s wait: %s", webhook.host, fault)
            threading.Event().wait(PAUSES_SECONDS[min(failures, len(PAUSES_SECONDS) - 1)])
            failures += 1
