"""Makes a new database when the one that is there cannot be used, and loses nothing that is known from anywhere.

    data/damaged/3/        the old database with its -wal, as it was found; report.json; the newest three are kept
    data/recovery.json     the last report
    data/pivision.db.new   the new database while it is made

A recovery may be interrupted at any moment. From when the old file is moved until the new one takes its place,
data/pivision.db is missing: whoever starts next goes on with the folder that is marked `unfinished`.
"""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from pivision import program
from pivision.errors import DatabaseUnusable
from pivision.store import backup, failures, ledger, merge, salvage, soundness
from pivision.store.rows import now

_KEPT = 3
_UNFINISHED = "unfinished"
_REPORT = "report.json"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was wrong, and what became of it."""

    at: str  # UTC, for people
    cause: str
    old_file: str | None  # below data/
    backup: str | None  # below data/
    tasks: dict[str, int]  # how many came from the old database, a rescue, the backup, the ledger
    quarantined: int  # they waited for a worker, and their pictures are gone
    not_recovered: int  # ids that cannot be read and are known from nowhere else; an upper bound
    images_without_task: int  # retention removes them, as it does with every picture that no task has


class Recovery:
    """The recovery of the database `file`. Nobody may have it open meanwhile.

    `rescued` is where a program leaves what it had open when the file was deleted. `image_names` tells which images
    there are, and `progress` is called again and again while it works.
    """

    def __init__(
        self, file: Path, rescued: Path, image_names: Callable[[], set[str]], progress: Callable[[], None]
    ) -> None:
        self._file = file
        self._data_dir = file.parent
        self._rescued = rescued
        self._image_names = image_names
        self._progress = progress

    def is_needed(self) -> str | None:
        """Why the database must be recovered; None if it is sound, or if there was none ever.

        Finishes what an interrupted recovery has left to do. Raises DatabaseBusy, DatabaseUnusable and StorageFull for
        what may pass by itself.
        """
        with failures.of_the_disk():
            unfinished = self._unfinished()
            if unfinished and not program.is_gone(self._file) and not program.is_gone(unfinished / _REPORT):
                self._finish(unfinished)
            if program.is_gone(self._file):
                return "the database was missing" if self._has_traces() else None
            if (fault := soundness.fault(self._file)) is not None:
                return fault
            if not program.is_gone(self._rescued):
                return "the database was deleted or replaced while it was in use"
            return self._what_it_lacks()

    def run(self, cause: str) -> Report:
        """Set the old file aside and make the new one. Raises as `is_needed` does."""
        with failures.of_the_disk(), failures.translated(self._file):
            aside = self._marked_folder()
            self._move_aside(aside)
            new = self._file.with_name(self._file.name + ".new")
            report = self._build(new, aside / self._file.name, cause)
            if (fault := soundness.fault(new)) is not None:
                raise DatabaseUnusable(f"{new} was written wrongly: {fault}")
            for suffix in ("-wal", "-shm"):  # both empty, left by the check
                new.with_name(new.name + suffix).unlink(missing_ok=True)
            _write_durably(aside / _REPORT, msgspec.json.encode(report))
            _fsync(new)
            new.rename(self._file)
            program.fsync_folder(self._data_dir)
            self._finish(aside)
        logging.getLogger("recovery").error("the database was recovered: %s", msgspec.json.encode(report).decode())
        return report

    def _has_traces(self) -> bool:
        traces = (backup.folder(self._data_dir), self._damaged_dir, ledger.Ledger(self._data_dir).file, self._rescued)
        return any(not program.is_gone(trace) for trace in (*traces, *self._beside()))

    def _what_it_lacks(self) -> str | None:
        """A file that is sound and older than what was acknowledged has lost its -wal."""
        known = max((request.id for request in ledger.read(ledger.Ledger(self._data_dir).file)), default=0)
        for file in backup.databases(backup.folder(self._data_dir))[:1]:
            known = max(known, salvage.last_id(file))
        last = salvage.last_id(self._file)
        return f"tasks {last + 1} to {known} are missing: its -wal is gone or damaged" if known > last else None

    def _build(self, new: Path, old: Path, cause: str) -> Report:
        sources = [
            salvage.source(name, file)
            for name, file in (("rescue", self._rescued), ("database", old))
            if not program.is_gone(file) and file.is_file() and file.stat().st_size
        ]
        copy = backup.newest_sound(backup.folder(self._data_dir))
        if copy:
            sources.append(salvage.source("backup", copy))
        sources.sort(key=_age, reverse=True)
        self._progress()
        requests = {
            request.id: request for file in backup.ledgers_since(self._data_dir, copy) for request in ledger.read(file)
        }
        last_id = max([0, *requests, *(salvage.last_id(source.file) for source in sources)])
        newest_change = max((salvage.newest_change(source.file) for source in sources), default=0)
        images = self._image_names()
        with merge.into(new, self._progress) as merged:
            for source in sources:
                merged.take_rows(source, last_id, requests, copy)
            merged.take_requests(requests.values())
            believed = [source for source in sources if source.is_sound] or sources
            merged.finish(last_id, newest_change, salvage.clock(believed[0].file) if believed else None)
            merged.requeue_running()
            return Report(
                at=now(),
                cause=cause,
                old_file=str(old.relative_to(self._data_dir)) if old.exists() else None,
                backup=str(copy.relative_to(self._data_dir)) if copy else None,
                tasks={name: merged.taken[name] for name in ("database", "rescue", "backup", "ledger")},
                quarantined=merged.quarantine_without_image(images),
                not_recovered=merged.count_not_recovered(),
                images_without_task=merged.count_unreferenced(images),
            )

    # The old file's folder

    @property
    def _damaged_dir(self) -> Path:
        return self._data_dir / "damaged"

    def _beside(self) -> list[Path]:
        """What SQLite keeps beside the database. A new database must never meet an old -wal."""
        names = (self._file.name + suffix for suffix in ("-wal", "-shm", "-journal"))
        return [file for name in names if not program.is_gone(file := self._data_dir / name)]

    def _folders(self) -> list[Path]:
        """The newest first."""
        found = [folder for folder in self._damaged_dir.glob("*") if folder.name.isdecimal()]
        return sorted(found, key=lambda folder: int(folder.name), reverse=True)

    def _unfinished(self) -> Path | None:
        for folder in self._folders()[:1]:
            if not program.is_gone(folder / _UNFINISHED) or not any(folder.iterdir()):
                return folder
        return None

    def _marked_folder(self) -> Path:
        """The folder for the old file: the one of a recovery that was interrupted, or a new one."""
        number = max((int(folder.name) for folder in self._folders()), default=0) + 1
        folder = self._unfinished() or self._damaged_dir / str(number)
        program.make_private_folder(folder)
        program.fsync_folder(self._damaged_dir)
        _write_durably(folder / _UNFINISHED, b"")
        return folder

    def _move_aside(self, folder: Path) -> None:
        """The database first: as long as it is in its place, nothing of it has been moved."""
        for file in (self._file, *self._beside()):
            if not program.is_gone(file):
                is_taken = not program.is_gone(
                    folder / file.name
                )  # by an earlier attempt; somebody has put another one here
                file.rename(folder / (f"{file.name}.{os.getpid()}" if is_taken else file.name))
        program.fsync_folder(folder)
        program.fsync_folder(self._data_dir)

    def _finish(self, folder: Path) -> None:
        """What comes after the new database is in its place; may be done twice."""
        self._rescued.unlink(missing_ok=True)
        shutil.copy2(folder / _REPORT, self._data_dir / "recovery.json.new")
        (self._data_dir / "recovery.json.new").rename(report_file(self._data_dir))
        (folder / _UNFINISHED).unlink()
        for old in self._folders()[_KEPT:]:
            shutil.rmtree(old)


def report_file(data_dir: Path) -> Path:
    """Where the last report is, if there is one."""
    return data_dir / "recovery.json"


def _age(source: salvage.Source) -> tuple[bool, int, int]:
    """Greater is newer. What does not tell is the file that was in use last."""
    found = source.fingerprint
    return (True, 0, 0) if found is None else (False, found.running_seconds, found.last_id)


def _write_durably(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    _fsync(file)
    program.fsync_folder(file.parent)


def _fsync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
