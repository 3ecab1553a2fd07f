"""A database from elsewhere: its rows, one by one, go into a new one that is made here; nothing else of it is used.

Its schema must be one of ours to the letter before a statement runs on it, no trigger and no view of it ever runs, and
each row must keep what the newest schema promises. A row that does not is left out.
"""

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path

from pivision.errors import DatabaseUnusable
from pivision.store import failures, merge, salvage, schema, soundness


def adopt(foreign: Path, new: Path, sizes: Mapping[str, int], before: Path | None) -> None:
    """Make the database `new` of the rows in `foreign`. `sizes` has the size of each image that comes with it.

    No id and no number of a change is given again that the database `before` has given. Raises DatabaseUnusable for a
    file that is not sound, or is of a newer PiVision.
    """
    with failures.translated(foreign):
        _require_ours(foreign)
        if (fault := soundness.fault(foreign)) is not None:
            raise DatabaseUnusable(fault)
        source = salvage.source("backup", foreign)
        files = [foreign, before] if before else [foreign]
        last_id = max(salvage.last_id(file) for file in files)
        newest_change = max(salvage.newest_change(file) for file in files)
        with merge.into(new, lambda: None) as merged:
            merged.take_rows(source, last_id, {}, None)
            merged.correct_sizes(sizes)
            merged.finish(last_id, newest_change, salvage.clock(foreign))
            left_out = merged.count_not_recovered() + salvage.count_beyond(foreign)
    if left_out:
        logging.getLogger("restore").warning("%d tasks of the backup are not as tasks must be: left out", left_out)


def _require_ours(foreign: Path) -> None:
    """Before anything is done with the file: what an index or a check computes is part of the schema, too."""
    with contextlib.closing(salvage.opened(foreign)) as connection:
        version = connection.pragma("user_version")
        if connection.pragma("application_id") != schema.APPLICATION_ID:
            raise DatabaseUnusable("it is not a PiVision database")
        if version > schema.newest():
            raise DatabaseUnusable(f"it was made by a newer PiVision (schema {version}, known: {schema.newest()})")
        try:
            is_ours = soundness.objects(connection) == soundness.schema_objects(version)
        except UnicodeDecodeError:
            is_ours = False
        if not is_ours:
            raise DatabaseUnusable(f"its tables are not those of schema {version}")
