"""The upper rungs: what is done when healing single programs has not helped. Pure decisions and a small durable memory.

Restarting the tree is systemd's work: it comes when its watchdog is not fed. Rebooting is off unless the owner allows
it, and spends a budget that survives the reboot, so that a box that no reboot can mend does not reboot for ever.
"""

import enum
import json
from pathlib import Path

from pivision import heartbeat, program

HEALINGS = 5
"""So many healings of one program in a row, and the tree is next."""

PAUSES_SECONDS = (0.0, 60.0, 300.0, 900.0, 1800.0)
"""Before the first, second, … restart of the tree within one boot; the last one repeats."""

TREES_BEFORE_REBOOT = 2
"""A reboot is worth its risk only after so many restarts of the tree in this boot."""

WELL_SECONDS = 600.0
"""After so long without trouble the pauses start anew."""

REBOOT_REFILL_SECONDS = 86_400.0
"""After a day without trouble, in one boot, the budget of reboots is full again."""


class Rung(enum.Enum):
    """What to do."""

    TREE = "everything is restarted"
    REBOOT = "the machine is rebooted"


class Ladder:
    """Times are CLOCK_BOOTTIME in seconds."""

    def __init__(self, file: Path, reboots_max: int, now: float) -> None:
        self._file = file
        self._reboots_max = reboots_max
        self._well_since = now
        self._boot_id = heartbeat.boot_id()
        self._trees, self._last_tree, self._reboots = 0, 0.0, 0
        try:
            memory = json.loads(file.read_bytes())
            self._reboots = int(memory["reboots"])
            if memory["boot_id"] == self._boot_id:
                self._trees, self._last_tree = int(memory["trees"]), float(memory["last_tree"])
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            pass  # nothing has been taken yet
        except OSError:
            self._reboots = reboots_max  # what cannot be read may have been spent

    def climb(self, now: float) -> Rung | None:
        """Take the next rung, remembered before it is taken; None while it must wait or there is none."""
        self._well_since = now
        if self._trees >= TREES_BEFORE_REBOOT and self._reboots < self._reboots_max:
            self._reboots += 1
            return Rung.REBOOT if self._remember() else None  # a reboot that is not counted could go on for ever
        pause_seconds = PAUSES_SECONDS[min(self._trees, len(PAUSES_SECONDS) - 1)]
        if self._trees and now - self._last_tree < pause_seconds:
            return None
        self._trees, self._last_tree = self._trees + 1, now
        self._remember()
        return Rung.TREE

    def trouble(self, now: float) -> None:
        """Something is wrong at this moment."""
        self._well_since = now

    def well(self, now: float) -> None:
        """Nothing is wrong at this moment."""
        well_seconds = now - self._well_since
        if self._trees and well_seconds >= WELL_SECONDS:
            self._trees = 0
            self._remember()
        if self._reboots and well_seconds >= REBOOT_REFILL_SECONDS:
            self._reboots = 0
            self._remember()

    def _remember(self) -> bool:
        memory = {
            "boot_id": self._boot_id,
            "trees": self._trees,
            "last_tree": round(self._last_tree, 1),
            "reboots": self._reboots,
        }
        try:
            program.write_durably(self._file, json.dumps(memory).encode())
        except OSError:
            return False
        return True
