"""Rolling backups: the newest few whole copies of the database, each with the ledger of the requests before it.

    data/backups/8.db      a copy that was checked
    data/backups/9.jsonl   the requests between backup 8 and backup 9
    data/backups/9.db
    data/requests.jsonl    the requests since backup 9

So a backup, the ledgers with larger numbers and the present ledger tell of every task that was acknowledged.
"""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec

from pivision import program
from pivision.disk import Disk
from pivision.errors import DatabaseBusy, DatabaseUnusable, PiVisionError
from pivision.store import Store, copies, failures, fingerprint, soundness
from pivision.store.fingerprint import Fingerprint
from pivision.store.ledger import Ledger

_LEDGER_LIMIT_BYTES = 32 << 20
"""A ledger this long is reason enough for a backup: it is read whole at the next start."""


class Backups:
    """The backups in `data_dir`; `kept` of them, one after `every_seconds` of running time if anything has changed."""

    def __init__(self, data_dir: Path, kept: int, every_seconds: float, reserve_bytes: int) -> None:
        self.folder = folder(data_dir)
        self._ledger = Ledger(data_dir)
        self._kept = kept
        self._every_seconds = every_seconds
        self._disk = Disk(self.folder, reserve_bytes)
        self._last: tuple[Path | None, Fingerprint | None] = (None, None)
        self._said = ""
        self._log = logging.getLogger("backup")

    def step(self, store: Store) -> None:
        """Make a backup if it is time for one. What keeps it from being made is said once, and tried again later."""
        try:
            if self._is_due(store):
                self.make(store)
            self._said = ""
        except PiVisionError as error:
            if str(error) != self._said:
                self._log.warning("no backup now: %s [%s]", error, error.code)
            self._said = str(error)

    def make(self, store: Store) -> Path:
        """Copy the database as it is now, and remove what is older than the newest `kept`.

        The ledger is rotated first: each request in it was committed before the copy begins, and so is in the copy.
        Raises StorageFull, DatabaseBusy while another process makes one, and DatabaseUnusable.
        """
        with failures.of_the_disk():
            program.make_private_folder(self.folder)
            with _alone(self.folder):
                self._disk.require_room(store.file.stat().st_size)
                number = max((int(file.stem) for file in _files(self.folder, "*.*")), default=0) + 1
                self._ledger.rotate(self.folder / f"{number}.jsonl")
                new, made = self.folder / "backup.new", self.folder / f"{number}.db"
                store.copy(new)
                self._require_sound(new, store)
                new.rename(made)
                program.fsync_folder(self.folder)
                self._remove_old()
        self._log.info("backup %d made, %d bytes", number, made.stat().st_size)
        return made

    def _is_due(self, store: Store) -> bool:
        now, last = store.fingerprint(), self._newest()
        if last is None:
            return now.last_id > 0
        if now.is_same_work(last):
            return False
        is_old = now.running_seconds - last.running_seconds >= self._every_seconds
        return is_old or self._ledger.size_bytes() > _LEDGER_LIMIT_BYTES

    def _newest(self) -> Fingerprint | None:
        """How far the newest backup has come. Another process may have made it."""
        newest = next(iter(databases(self.folder)), None)
        if newest != self._last[0]:
            self._last = newest, fingerprint_of(newest) if newest else None
        return self._last[1]

    def _require_sound(self, copy: Path, store: Store) -> None:
        """A copy is page by page: what is wrong with it is wrong with the database, or the disk has written wrongly."""
        if (fault := soundness.fault(copy)) is not None:
            copy.unlink()
            store.check()
            raise DatabaseUnusable(f"{copy} was written wrongly: {fault}")

    def _remove_old(self) -> None:
        kept = databases(self.folder)[: self._kept]
        for file in _files(self.folder, "*.*"):
            if int(file.stem) < int(kept[-1].stem) or (file.suffix == ".jsonl" and file.stem == kept[-1].stem):
                file.unlink()


def folder(data_dir: Path) -> Path:
    """Where the backups are."""
    return data_dir / "backups"


def databases(folder: Path) -> list[Path]:
    """The backups, the newest first."""
    return sorted(_files(folder, "*.db"), key=lambda file: int(file.stem), reverse=True)


def newest_sound(folder: Path) -> Path | None:
    """The newest backup that is itself sound. Raises DatabaseUnusable where nobody can tell just now."""
    for file in databases(folder):
        try:
            if soundness.fault(file) is None:
                return file
        except DatabaseUnusable as error:
            if error.__cause__ is not None:  # it may pass; without, it is of a newer PiVision: not for us
                raise
    return None


def ledgers_since(data_dir: Path, backup: Path | None) -> list[Path]:
    """The ledgers of the requests that came after this backup, the oldest first; without a backup, all there are."""
    rotated = sorted(_files(folder(data_dir), "*.jsonl"), key=lambda file: int(file.stem))
    after = int(backup.stem) if backup else 0
    return [*(file for file in rotated if int(file.stem) > after), Ledger(data_dir).file]


def fingerprint_of(file: Path) -> Fingerprint | None:
    """How far a backup has come; None if it cannot be read."""
    with (
        contextlib.suppress(apsw.Error, msgspec.ValidationError),
        contextlib.closing(copies.opened(file)) as connection,
    ):
        return fingerprint.of(connection)
    return None


def _files(folder: Path, pattern: str) -> list[Path]:
    return [file for file in folder.glob(pattern) if file.stem.isdecimal() and file.suffix in (".db", ".jsonl")]


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise DatabaseBusy("another process makes a backup") from None
    finally:
        os.close(descriptor)
