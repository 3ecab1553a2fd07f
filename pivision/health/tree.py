"""Why everything was started: a boot, a person, the watchdog, or a supervisord that ended.

The unit's ExecStopPost= leaves `BOOT_ID RESULT CODE STATUS` of systemd.exec(5) in data/last-end.
"""

import contextlib
from pathlib import Path

from pivision import heartbeat
from pivision.history import Cause, Event

_LAST_END = "last-end"


def why_it_started(data_dir: Path, last: Event | None) -> tuple[Cause, str]:
    """The cause and its detail. `last` is the latest event before; the note of the last end is used up."""
    boot_id, result, how = _last_end(data_dir / _LAST_END)
    if last is None or last.boot_id != heartbeat.boot_id():
        if last is None:
            return Cause.BOOT, "the first start"
        if last.boot_id == boot_id and result == "success":
            return Cause.BOOT, "the machine was started; it had been shut down in order"
        return Cause.BOOT, "the machine was started; the boot before ended without a shutdown"
    if boot_id != heartbeat.boot_id():
        return Cause.OPERATOR, "it was started"
    if result == "success":
        return Cause.OPERATOR, "it was started after a stop in order"
    if result == "watchdog":
        return Cause.WATCHDOG, "the watchdog was not fed in time"
    return (Cause.EXIT if how.startswith("exited") else Cause.SIGNAL), f"supervisord ended: {how}"


def _last_end(file: Path) -> tuple[str, str, str]:
    with contextlib.suppress(OSError, ValueError):
        boot_id, result, how = file.read_text(encoding="ascii").strip().split(" ", 2)
        file.unlink()
        return boot_id, result, how
    return "", "", ""
