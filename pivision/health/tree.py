"""Why everything was started: a boot, a person, the watchdog, or a supervisord that ended."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from pivision import heartbeat
from pivision.history import Cause, Event

_LAST_END = "last-end"


def note_end(data_dir: Path, environment: Mapping[str, str]) -> None:
    """Leave word of how everything ended, in the words that systemd gives to ExecStopPost= (systemd.exec(5))."""
    words = (environment.get(name, "?") for name in ("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS"))
    (data_dir / _LAST_END).write_text(f"{heartbeat.boot_id()} {' '.join(words)}\n", encoding="ascii")


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
