"""Through here a program comes to the database: checked once per start of the appliance, recovered if need be.

Whoever has the database open holds the lock beside it, shared; whoever checks or recovers it holds it alone, and so
never works on a file that another program has open. A marker in the run folder says which file was checked, and for
which supervisord: a program that is started again need not look again. Who finds the database damaged removes the
marker and ends, and so does everybody else who sees that it is gone.
"""

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pivision import heartbeat, program
from pivision.errors import DatabaseBusy, DatabaseRecovering, PiVisionError
from pivision.store import Store, failures, schema
from pivision.store.recovery import Recovery

LOOK_SECONDS = 1.0
"""How often a program looks whether its database is still the one that it has open."""

_SAVE_ATTEMPTS = 20
_SAVE_PAUSE_SECONDS = 0.1
_RESCUE_LIMIT_BYTES = 256 << 20  # the run folder is in memory


class Gate:
    """The way to the database `file` for one program."""

    def __init__(self, file: Path, run_dir: Path, timeout_seconds: float) -> None:
        self._file = file
        self._lock_file = lock_file(file)
        self._marker = run_dir / "database.checked"
        self._rescued = run_dir / "rescued.db"
        self._timeout_seconds = timeout_seconds
        self._lock: int | None = None
        self._log = logging.getLogger("database")

    def open(self, image_names: Callable[[], set[str]], progress: Callable[[], None]) -> Store:
        """Open the database; check and recover it first if that was not done yet.

        `progress` is called when that begins, and again and again during a recovery. Raises DatabaseRecovering while
        another program is at it, and DatabaseBusy, DatabaseUnusable or StorageFull for what may pass by itself: then
        nothing was moved.
        """
        with failures.of_the_disk():
            return self._open(image_names, progress)

    def _open(self, image_names: Callable[[], set[str]], progress: Callable[[], None]) -> Store:
        program.make_private_folder(self._file.parent)
        lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not self._is_checked():
                _take(lock, fcntl.LOCK_EX)
                self._check(image_names, progress)
            _take(lock, fcntl.LOCK_SH)
            if not self._is_checked():  # found damaged in between
                raise DatabaseRecovering()
            store = Store(self._file, self._timeout_seconds)
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock  # held until this process ends
        return store

    def watch(self, store: Store) -> str:
        """Wait until the open database turns out to be damaged, deleted or replaced, and return what is wrong.

        Then this program must end: what it had open is saved, and the next start recovers.
        """
        while not store.damaged.wait(LOOK_SECONDS):
            with contextlib.suppress(PiVisionError, OSError):  # what is out of reach for a while is not damaged
                store.verify()
                if not self._is_checked():
                    store.declare_damaged("another program has found it damaged")
        self._save(store)
        self._marker.unlink(missing_ok=True)
        return store.damage

    def _check(self, image_names: Callable[[], set[str]], progress: Callable[[], None]) -> None:
        progress()
        began = time.monotonic()
        recovery = Recovery(self._file, self._rescued, image_names, progress)
        if (cause := recovery.is_needed()) is not None:
            self._log.error("%s: %s; recovering", self._file, cause)
            recovery.run(cause)
        with failures.translated(self._file):
            schema.prepare(self._file, self._timeout_seconds)
        program.make_private_folder(self._marker.parent)
        new = self._marker.with_suffix(".new")
        new.write_text(self._mark(), encoding="ascii")
        new.rename(self._marker)
        self._log.info("checked in %.2f s", time.monotonic() - began)

    def _is_checked(self) -> bool:
        """Whether this file was checked for this supervisord. Raises OSError where nobody can tell just now."""
        if program.is_gone(self._marker) or program.is_gone(self._file):
            return False
        return self._marker.read_bytes() == self._mark().encode()

    def _mark(self) -> str:
        """This boot, this supervisord, this file."""
        parent = os.getppid()
        started = Path(f"/proc/{parent}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
        file = self._file.stat()
        return f"{heartbeat.boot_id()} {parent} {started} {file.st_dev} {file.st_ino}"

    def _save(self, store: Store) -> None:
        """The first program that comes saves what was in a file that has been deleted: they all have the same open."""
        if not program.is_gone(self._rescued):
            return
        new = self._rescued.with_suffix(f".{os.getpid()}")
        for attempt in range(1, _SAVE_ATTEMPTS + 1):
            try:
                if store.rescue(new, _RESCUE_LIMIT_BYTES):
                    new.rename(self._rescued)
                    self._log.error("what was open is saved at %s", self._rescued)
                return
            except (DatabaseBusy, OSError) as error:  # another program saves, too; or it passes
                if attempt == _SAVE_ATTEMPTS:
                    self._log.error("what was open cannot be saved: %s", error)
                time.sleep(_SAVE_PAUSE_SECONDS)
            except PiVisionError as error:
                self._log.error("what was open cannot be saved: %s", error)
                return


def lock_file(file: Path) -> Path:
    """The lock of the database `file`."""
    return file.with_suffix(".lock")


@contextlib.contextmanager
def held_open(file: Path) -> Iterator[None]:
    """Use the database in the block as one who has it open. Raises DatabaseRecovering while somebody recovers it."""
    with _held(file, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def held_alone(file: Path) -> Iterator[None]:
    """Be the only one at the database in the block. Raises DatabaseRecovering while anybody has it open."""
    with _held(file, fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def _held(file: Path, kind: int) -> Iterator[None]:
    lock = os.open(lock_file(file), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(lock, kind)
        yield
    finally:
        os.close(lock)


def _take(lock: int, kind: int) -> None:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DatabaseRecovering("another program is checking it, or still has it open") from None
