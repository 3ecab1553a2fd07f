"""What happened to this box: each restart and its cause, one JSON line each, kept across reboots.

Written by health alone, read by /v1/system and `python -m pivision why`. Standard library only.
"""

import contextlib
import datetime
import enum
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

from pivision import heartbeat

_ATTEMPTS = 30
_PAUSE_SECONDS = 0.1

KEPT = 500
"""How many events stay; twice as many lines may stand in the file before it is cut back."""


class Cause(enum.StrEnum):
    """Why something was restarted."""

    BOOT = "boot"  # the machine was started
    OPERATOR = "operator"  # a person, or the machine's shutdown, asked for it
    WATCHDOG = "watchdog"  # systemd restarted the tree: nobody had fed its watchdog, or health had it bite
    HEALTH = "health"  # health killed or started it, and says why
    SIGNAL = "signal"  # a signal that health did not send ended it
    DEADLINE = "deadline"  # the kernel ended a worker at its task's deadline
    MEMORY = "memory"  # the kernel ended it because memory had run out
    EXIT = "exit"  # it ended by itself
    RECOVERY = "recovery"  # nothing was restarted for it, but the database was made anew from what was left
    UNHEALED = "unhealed"  # nothing was restarted: what is wrong is beyond health


class Event(NamedTuple):
    """One restart, or one thing that health cannot mend."""

    number: int  # counts from 1, over reboots
    at: str  # UTC, ISO 8601; for people, and wrong where the clock was
    boot_id: str
    uptime_seconds: int  # since that boot
    program: str  # server, worker_1, health; pivision: the whole tree
    cause: Cause
    detail: str
    times: int  # how often in a row; written when it is 1, 2, 4, 8, …


def read(data_dir: Path) -> list[Event]:
    """The events that are kept, oldest first. A line that cannot be read is left out. Raises OSError."""
    events: dict[int, Event] = {}
    with (
        contextlib.suppress(FileNotFoundError, NotADirectoryError),
        _file(data_dir).open(encoding="utf-8", errors="replace") as lines,
    ):
        for line in lines:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                fields = json.loads(line)
                event = Event(**{**fields, "cause": Cause(fields["cause"])})
                events[event.number] = event  # a later line tells how often
    return list(events.values())[-KEPT:]


class History:
    """The events, to be added to."""

    def __init__(self, data_dir: Path) -> None:
        self._file = _file(data_dir)
        self._events = _patiently_read(data_dir)
        self._cut_back()

    @property
    def last(self) -> Event | None:
        """The latest event."""
        return self._events[-1] if self._events else None

    def has(self, program: str, detail: str) -> bool:
        """Whether this is known already."""
        return any((event.program, event.detail) == (program, detail) for event in self._events)

    def add(self, program: str, cause: Cause, detail: str) -> Event:
        """Write down an event. The same one over and over takes a line at its 1st, 2nd, 4th, 8th … time."""
        last = self.last
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        here = heartbeat.boot_id(), round(heartbeat.boottime())
        if last and (last.boot_id, last.program, last.cause, last.detail) == (here[0], program, cause, detail):
            event = last._replace(times=last.times + 1)
            self._events[-1] = event
        else:
            event = Event(last.number + 1 if last else 1, now, *here, program, cause, detail, 1)
            self._events = [*self._events[-KEPT:], event]
        if event.times & (event.times - 1) == 0:
            with contextlib.suppress(OSError):  # a full disk must not end the healing
                _append(self._file, [event])
        return event

    def _cut_back(self) -> None:
        with contextlib.suppress(OSError):
            with self._file.open("rb") as lines:
                if sum(1 for _ in lines) <= 2 * KEPT:
                    return
            new = self._file.with_suffix(".new")
            new.unlink(missing_ok=True)
            _append(new, self._events)
            new.replace(self._file)


def _patiently_read(data_dir: Path) -> list[Event]:
    """Wait out passing trouble; a file that cannot be read for good must not keep health from healing."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(OSError):
            return read(data_dir)
        time.sleep(_PAUSE_SECONDS)
    return []


def _append(file: Path, events: list[Event]) -> None:
    lines = "".join(json.dumps(event._asdict()) + "\n" for event in events)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        end = os.fstat(descriptor).st_size
        is_torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"  # a power cut, or a full disk
        os.write(descriptor, ("\n" * is_torn + lines).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file(data_dir: Path) -> Path:
    return data_dir / "history.jsonl"
