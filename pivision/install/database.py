"""The database as it was before an upgrade, for a version that does not know a newer schema.

Only while the service is stopped: then the files are complete, and nobody writes.
"""

import os
import shutil
from pathlib import Path

from pivision import program
from pivision.config import Settings
from pivision.errors import DatabaseUnusable
from pivision.store import schema

_SUFFIXES = ("", "-wal")  # -shm is made anew from -wal


def copy(settings: Settings) -> None:
    """Keep the database as it is now, in place of what an earlier upgrade has kept."""
    folder = _folder(settings)
    shutil.rmtree(folder, ignore_errors=True)
    program.make_private_folder(folder)
    _copy(settings.database, folder / settings.database.name)


def put_back(settings: Settings) -> str:
    """Bring the kept database back if this version refuses the present one; what was done, empty when nothing.

    The refused database is kept beside it, for what the other version may have taken.
    """
    kept = _folder(settings) / settings.database.name
    if not settings.database.exists():
        return ""
    try:
        schema.prepare(settings.database, settings.database_timeout_seconds)
    except DatabaseUnusable as error:
        if not kept.exists():
            return f"{error}, and no copy of an earlier one is there"
        refused = _folder(settings) / f"refused-{settings.database.name}"
        _copy(settings.database, refused)
        for suffix in ("-wal", "-shm", ""):
            settings.database.with_name(settings.database.name + suffix).unlink(missing_ok=True)
        _copy(kept, settings.database)
        return f"{error}: the database from before the upgrade is back, the refused one is {refused}"
    return ""


def _folder(settings: Settings) -> Path:
    return settings.data_dir / "before-upgrade"


def _copy(database: Path, to: Path) -> None:
    """Copy a database and its log; the log first, so that a database that is there is whole."""
    for suffix in reversed(_SUFFIXES):
        source, target = (path.with_name(path.name + suffix) for path in (database, to))
        if source.exists():
            new = target.with_name(target.name + ".new")
            with source.open("rb") as old, new.open("wb") as copied:
                shutil.copyfileobj(old, copied)
                os.fsync(copied.fileno())
            new.replace(target)
