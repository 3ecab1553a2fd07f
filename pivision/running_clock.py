"""The appliance's running time as a file: it counts while the machine runs, over restarts, and no wall clock moves it.

The store has one of its own in the database (`tick`); this one serves what must work while the database does not.
"""

from collections.abc import Callable
from pathlib import Path

from pivision import heartbeat, program


class RunningClock:
    """Seconds that the appliance has been running, as far as `file` remembers."""

    def __init__(
        self,
        file: Path,
        boottime: Callable[[], float] = heartbeat.boottime,
        boot_id: Callable[[], str] = heartbeat.boot_id,
    ) -> None:
        self._file = file
        self._boottime = boottime
        self._boot_id = boot_id
        self._offset_seconds: float | None = None  # running time less time since boot; None until it is known

    def seconds(self) -> float:
        """Return the running time now. Raises OSError when the file is there but cannot be read."""
        if self._offset_seconds is not None:
            return self._offset_seconds + self._boottime()
        try:
            content = self._file.read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:  # there is none yet; or its folder is gone, and health will restore it
            return self._boottime()
        self._offset_seconds = self._offset(content)
        return self._offset_seconds + self._boottime()

    def save(self) -> float:
        """Make the running time durable, so that no later reading is before it; return it. Raises OSError."""
        now, boottime = self.seconds(), self._boottime()
        program.write_durably(self._file, f"{self._boot_id()} {int(boottime)} {int(now)}\n".encode("ascii"))
        return now

    def _offset(self, content: str) -> float:
        try:
            boot_id, boottime, running = content.split()
            seconds_then, boottime_then = int(running), int(boottime)
        except ValueError:  # damaged
            return 0.0
        # Within one boot both went on alike. A new boot adds what it has been up so far: none of that was counted.
        return float(seconds_then - (boottime_then if boot_id == self._boot_id() else 0))
