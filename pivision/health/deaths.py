"""How programs ended: supervisord's own log says so, and nothing else does; it is their parent."""

import contextlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from pivision.history import Cause

_ENDED = re.compile(r"(exited|stopped): (\S+) \((.*?)(?:; (?:not )?expected)?\)$")
_LARGE_BYTES = 1_000_000

LOG = "supervisord.log"
BOOKMARK = "supervisord.log.read"
"""Both in the run folder; whoever starts a supervisord removes the bookmark and the old log."""


class Death(NamedTuple):
    """The end of one process."""

    program: str  # server, worker_1, health
    how: str  # "exit status 1", "terminated by SIGKILL"
    was_asked: bool  # supervisord was asked to stop it

    def cause(self, is_memory_short: bool) -> Cause:
        """What ended it, if it was not health."""
        if self.was_asked:
            return Cause.OPERATOR
        if "SIGALRM" in self.how:
            return Cause.DEADLINE
        if "SIGKILL" in self.how and is_memory_short:
            return Cause.MEMORY
        return Cause.SIGNAL if self.how.startswith("terminated by") else Cause.EXIT


class Deaths:
    """Reads supervisord's log, each line once; how far it has come outlives health itself."""

    def __init__(self, run_dir: Path) -> None:
        self._log = run_dir / LOG
        self._bookmark = run_dir / BOOKMARK
        self._oom_kills = _oom_kills() or 0
        self._offset: int | None = None
        with contextlib.suppress(FileNotFoundError, ValueError):  # all else ends health before it tells all anew
            self._offset = int(self._bookmark.read_text(encoding="ascii"))

    @property
    def is_unread(self) -> bool:
        """Whether this supervisord has just been started: nobody has read its log yet."""
        return self._offset is None

    def new(self) -> list[tuple[Death, Cause]]:
        """What has ended since the last look, oldest first, and why."""
        before, lines = self._offset, self._read()
        if self._offset != before:
            with contextlib.suppress(OSError):
                self._bookmark.write_text(str(self._offset), encoding="ascii")
        oom_kills = self._oom_kills
        self._oom_kills = _oom_kills() or oom_kills
        deaths = [death for line in lines if (death := _death(line))]
        return [(death, death.cause(is_memory_short=self._oom_kills > oom_kills)) for death in deaths]

    def _read(self) -> list[bytes]:
        offset = self._offset or 0
        lines: list[bytes] = []
        with contextlib.suppress(OSError), self._log.open("rb") as log:
            if log.seek(0, os.SEEK_END) < offset:
                offset = 0  # it was cut, and there was no time to write that down
            log.seek(offset)
            lines = [line for line in log if line.endswith(b"\n")]  # supervisord is still writing any other
            offset += sum(map(len, lines))
            if offset > _LARGE_BYTES:
                # supervisord must not rotate it, it would end if it could not. It appends, so anybody can cut it.
                self._log.open("wb").close()
                offset = 0
        self._offset = offset
        return lines


def _death(line: bytes) -> Death | None:
    found = _ENDED.search(line.decode(errors="replace").rstrip())
    return Death(found[2], found[3], found[1] == "stopped") if found else None


def _oom_kills() -> int | None:
    """How many processes the kernel has ended for want of memory, since boot; None if that cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return None
