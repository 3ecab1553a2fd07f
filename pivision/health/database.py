"""What the store reports of a recovery, as one sentence."""

import contextlib
import json
from pathlib import Path


class RecoveryReports:
    """Watches data/recovery.json, which the program that recovers the database writes (docs/recovery.md)."""

    def __init__(self, data_dir: Path) -> None:
        self._file = data_dir / "recovery.json"
        self._seen = 0

    def new(self) -> str | None:
        """The report that has come since the last look; at the first look, whichever is there."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            written = self._file.stat().st_mtime_ns
            if written != self._seen:
                report = json.loads(self._file.read_bytes())
                found = sum(dict(report["tasks"]).values())
                lost = f"{report['quarantined']} without their picture, {report['not_recovered']} not recovered"
                self._seen = written
                return f"{report['cause']}: recovered at {report['at']}, {found} tasks, {lost}"
        return None
