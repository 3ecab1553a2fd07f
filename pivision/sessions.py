"""Sessions of browsers: a token was shown once, and a cookie stands for it since. One file each, only hashes in it.

A session ends when it was not used for a while, at the latest some time after it began, and with its token. Both times
are running time of the appliance (running_clock.py): sessions outlive restarts, and no wall clock ends or prolongs one.
"""

import contextlib
import errno
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pivision import tokens
from pivision.errors import StorageFull, StorageUnavailable
from pivision.running_clock import RunningClock
from pivision.tokens import Token

SECONDS_PER_DAY = 86400

KEPT_PER_TOKEN = 50
"""Beyond, the sign-in of a token ends the session of the same token that was idle longest; never another token's."""

_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TEND_SECONDS = 600.0  # so much running time may a power cut take from the clock
_USE_NOTED = 100  # times within the idle time is it noted that a session was used: few writes for an SD card
_CLOCK_SLACK_SECONDS = 60.0
_FULL = {errno.ENOSPC, errno.EDQUOT}


class _Session(NamedTuple):
    name: str  # of the token
    digest: str
    began: float  # running time, seconds
    used: float

    def write(self, file: Path) -> None:
        """Put it in the place of what is in the file, in one step."""
        new = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}")
        new.touch(0o600)
        try:
            new.write_text(f"{self.name}\n{self.digest}\n{self.began:.0f}\n{self.used:.0f}\n", encoding="ascii")
            new.replace(file)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink()
            raise


class Sessions:
    """The sessions of one appliance, for one process and all of its threads.

    Every method may raise StorageUnavailable: the disk does not answer, and nobody is signed out because of that.
    """

    def __init__(
        self, secrets_dir: Path, idle_seconds: float, longest_seconds: float, clock: RunningClock | None = None
    ) -> None:
        self._secrets_dir = secrets_dir
        self._folder = secrets_dir / "sessions"
        self._idle_seconds = idle_seconds
        self.longest_seconds = longest_seconds
        self._clock = clock or RunningClock(secrets_dir / "session-clock")
        self._lock = threading.Lock()  # for what is written

    def create(self, token: Token) -> str:
        """Begin a session for whoever has shown this token; return the cookie's value. Also raises StorageFull."""
        cookie = secrets.token_urlsafe(32)
        with _disk_errors(), self._lock:
            self._folder.mkdir(0o700, exist_ok=True)  # never its parent: health restores that, but only a missing one
            now = self._clock.save()  # before the session: none may seem to have begun in the future after a power cut
            self._make_room(token)
            _Session(token.name, token.digest, now, now).write(self._file(cookie))
        return cookie

    def find(self, cookie: str) -> Token | None:
        """Return the token of the session; None if there is none, it has ended, or its token is another by now."""
        if not _COOKIE.fullmatch(cookie):
            return None
        file = self._file(cookie)
        with _disk_errors():
            now = self._clock.seconds()
            session = self._read(file, now)
        if session is None or not self._is_alive(session, now):
            return None
        token = tokens.named(self._secrets_dir, session.name)
        if token is None or token.digest != session.digest:
            return None
        if now - session.used > self._idle_seconds / _USE_NOTED:
            with contextlib.suppress(OSError), self._lock:  # on a full disk it may end sooner, but lets in now
                if file.exists():  # not ended meanwhile
                    session._replace(used=self._clock.save()).write(file)
        return token

    def remove(self, cookie: str) -> None:
        """End a session."""
        if _COOKIE.fullmatch(cookie):
            with _disk_errors(), self._lock:
                self._file(cookie).unlink(missing_ok=True)

    def tend(self) -> None:
        """Save the clock, and remove the sessions that have ended by time."""
        with _disk_errors(), self._lock:
            if not self._folder.is_dir():
                return
            now = self._clock.save()
            for file, session in self._kept(now):
                if not self._is_alive(session, now):
                    file.unlink(missing_ok=True)
                elif session.used == now:  # of a version before, without times: it begins to age
                    session.write(file)

    def keep_tending(self) -> None:
        """Tend the sessions for ever; for a thread of its own."""
        while True:
            try:
                self.tend()
            except (StorageUnavailable, StorageFull) as error:
                logging.getLogger("server").warning("sessions are not tended: %s", error)
            time.sleep(_TEND_SECONDS)

    def _is_alive(self, session: _Session, now: float) -> bool:
        """Whether it has not ended by time. One from the future has lost its clock: nobody knows how old it is."""
        return (
            session.used <= now + _CLOCK_SLACK_SECONDS
            and now - session.used < self._idle_seconds
            and now - session.began < self.longest_seconds
        )

    def _make_room(self, token: Token) -> None:
        of_token = [
            (session.used, file)
            for file, session in self._kept(self._clock.seconds())
            if (session.name, session.digest) == (token.name, token.digest)
        ]
        for _, file in sorted(of_token)[: max(0, len(of_token) - KEPT_PER_TOKEN + 1)]:
            file.unlink(missing_ok=True)

    def _kept(self, now: float) -> list[tuple[Path, _Session]]:
        files = [file for file in self._folder.iterdir() if _DIGEST.fullmatch(file.name)]
        return [(file, session) for file in files if (session := self._read(file, now))]

    def _read(self, file: Path, now: float) -> _Session | None:
        """None if there is none, or it is damaged."""
        try:
            name, digest, *times = file.read_text(encoding="ascii").split()
            began, used = [int(each) for each in times] if times else (now, now)  # versions before knew no times
        except (FileNotFoundError, ValueError):
            return None
        return _Session(name, digest, began, used)

    def _file(self, cookie: str) -> Path:
        return self._folder / tokens.digest(cookie)


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    """Only a missing file means that there is no session; what else the disk says may pass."""
    try:
        yield
    except OSError as error:
        what = f"the sessions in {error.filename or 'data/secrets'}: {error.strerror}"
        raise StorageFull(what) if error.errno in _FULL else StorageUnavailable(what) from error
