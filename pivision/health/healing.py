"""When to heal a program, and how: pure decisions, told the time. docs/healing.md says the same in words.

Standard library only.
"""

import enum
from typing import NamedTuple

from pivision.supervision import Program

UP = ("STARTING", "RUNNING")
"""The states in which a program can show that it lives."""

MISSES = 3
"""How many looks in a row must find the same fault: one is an accident, three are none."""

GRACE_SECONDS = 60.0
"""Until a new process must have shown that it lives: an emulated Pi 3 under load takes half of that for its imports."""

PAUSES_SECONDS = (0.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
"""Before the first, second, … healing of the same program. The last one repeats: never give up, never flap."""

WELL_SECONDS = 600.0
"""A program that has needed nothing for this long starts with the first pause again."""


class Remedy(enum.StrEnum):
    """What health may do."""

    KILL = "kill"  # of a process that does not answer; supervisord's autorestart brings it back
    START = "start"  # of a program that supervisord has given up


class Finding(NamedTuple):
    """What is wrong with a program and what would mend it."""

    remedy: Remedy
    cause: str


class Patient:
    """One program as health has seen it so far. Times are of one monotonic clock, in seconds."""

    def __init__(self, name: str, stopped_seconds: float) -> None:
        self.name = name
        self.healings = 0  # in a row
        self._stopped_seconds = stopped_seconds
        self._stopped_since: float | None = None
        self._pid = 0
        self._seen_since = 0.0
        self._has_lived = False
        self._misses = 0
        self._last_healed = 0.0

    def examine(self, program: Program, now: float, complaint: str | None) -> Finding | None:
        """Take note of one look: the program's state, and what its own sign of life lacks (None: nothing).

        STOPPING, STARTING and BACKOFF are supervisord's work and left alone. STOPPED may be a person's will, or what
        a supervisorctl left that ended in the middle of a restart: nobody can tell, so it is left alone for a time.
        """
        if program.pid != self._pid:
            self._pid, self._seen_since, self._misses, self._has_lived = program.pid, now, 0, False
        if program.state != "STOPPED":
            self._stopped_since = None
        elif self._stopped_since is None:
            self._stopped_since = now
        elif self._stopped_seconds and now - self._stopped_since >= self._stopped_seconds:
            return Finding(Remedy.START, f"it has been stopped for {self._stopped_seconds:g} s")
        if program.state == "FATAL":
            return Finding(Remedy.START, "supervisord has given it up: FATAL")
        fault, remedy = complaint, Remedy.KILL
        if program.state == "EXITED":  # for a moment after each death; autorestart comes next
            fault, remedy = "supervisord has not started it again", Remedy.START
        elif program.state not in UP:
            fault = None
        elif complaint is None:
            self._has_lived = True
        elif program.state == "STARTING" or (not self._has_lived and now - self._seen_since < GRACE_SECONDS):
            fault = None
        self._misses = self._misses + 1 if fault else 0
        return Finding(remedy, f"{fault}, {MISSES} looks in a row") if self._misses >= MISSES else None

    def pause_left(self, now: float) -> float:
        """How many seconds the next healing must still wait."""
        if now - self._last_healed > WELL_SECONDS:
            self.healings = 0
        if not self.healings:
            return 0.0
        pause_seconds = PAUSES_SECONDS[min(self.healings, len(PAUSES_SECONDS) - 1)]
        return max(0.0, self._last_healed + pause_seconds - now)

    def healed(self, now: float) -> None:
        """Count a healing; the process that comes next gets its grace."""
        self.healings += 1
        self._last_healed = now
        self._misses = 0
