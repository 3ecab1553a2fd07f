"""One file with all that a box has to lose, database and pictures, to take away; and the way back.

No secrets are in it: tokens and passwords stay where they are, on both boxes.
"""

import contextlib
import hashlib
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pivision import instance, program, supervision
from pivision.config import Settings
from pivision.errors import (
    ApplianceRunning,
    BackupInvalid,
    BackupNotWritten,
    DatabaseRecovering,
    DatabaseUnusable,
    StorageFull,
)
from pivision.images import Images
from pivision.store import Store, copies, failures, gate, salvage, soundness

_DATABASE = "pivision.db"
_MEMBER = re.compile(rf"{re.escape(_DATABASE)}|images/([0-9a-f]{{2}})/\1[0-9a-f]{{62}}")
_REPLACED = (_DATABASE, "pivision.db-wal", "pivision.db-shm", "requests.jsonl", "recovery.json", "backups", "images")
_TIMEOUT_SECONDS = 3.0


class Archived(NamedTuple):
    """What a backup holds."""

    last_id: int
    images: int


def back_up(settings: Settings, target: Path) -> Archived:
    """Write database and pictures to the new tar file `target`, while the appliance serves or not.

    Raises BackupNotWritten, DatabaseUnusable, DatabaseRecovering, DatabaseBusy and StorageFull; then no file is left.
    """
    if not settings.database.exists():
        raise DatabaseUnusable(f"there is no database at {settings.database}")
    copy = target.with_name(f".{target.name}.{os.getpid()}")
    with _new_file(target) as descriptor, gate.held_open(settings.database):
        try:
            Store(settings.database, settings.database_timeout_seconds).copy(copy)
            if (fault := soundness.fault(copy)) is not None:
                raise DatabaseUnusable(f"{settings.database}: {fault}")
            return Archived(salvage.last_id(copy), _write(settings, copy, descriptor))
        finally:
            copy.unlink(missing_ok=True)


def restore(settings: Settings, source: Path) -> Path:
    """Put the backup `source` in the place of database and pictures; return the folder to which these are moved.

    Raises ApplianceRunning, BackupInvalid, DatabaseUnusable and StorageFull; then nothing was changed.
    """
    _require_stopped(settings)
    data_dir = settings.data_dir
    with failures.of_the_disk(), _alone(settings.database):
        new = data_dir / "restoring"
        shutil.rmtree(new, ignore_errors=True)  # of a restore that was interrupted
        try:
            _extract(source, new)
            _require_sound(new / _DATABASE)
            if settings.database.is_file():  # an id that was given since then is not given again
                copies.raise_last_id(new / _DATABASE, salvage.last_id(settings.database))
            _give_to_owner_of(data_dir, new)
            return _put_in_place(data_dir, new)
        finally:
            shutil.rmtree(new, ignore_errors=True)


def _write(settings: Settings, copy: Path, descriptor: int) -> int:
    """Write the archive and return how many pictures are in it. What retention removes meanwhile is left out."""
    images = Images(settings.images_dir, settings.disk_reserve_bytes)
    count = 0
    with open(descriptor, "wb", closefd=False) as file, tarfile.open(fileobj=file, mode="w") as tar:
        tar.add(copy, _DATABASE, filter=_anonymous)
        for sha256 in sorted(salvage.images(copy)):
            with contextlib.suppress(FileNotFoundError):
                tar.add(images.path(sha256), f"images/{sha256[:2]}/{sha256}", filter=_anonymous)
                count += 1
    os.fsync(descriptor)
    return count


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member


@contextlib.contextmanager
def _new_file(target: Path) -> Iterator[int]:
    """A file that was not there before, for the owner alone; gone if the block fails."""
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BackupNotWritten(f"{target}: {error.strerror}") from None
    try:
        yield descriptor
    except BaseException as error:
        target.unlink()
        if isinstance(error, OSError):
            raise BackupNotWritten(f"{target}: {error.strerror}") from error
        raise
    finally:
        os.close(descriptor)


def _require_stopped(settings: Settings) -> None:
    if found := instance.running(settings.data_dir):
        raise ApplianceRunning(str(found))
    with contextlib.suppress(*supervision.Unreachable):
        supervision.Supervisor(str(settings.run_dir / "supervisor.sock"), _TIMEOUT_SECONDS).programs()
        raise ApplianceRunning(f"supervisord answers at {settings.run_dir / 'supervisor.sock'}")


@contextlib.contextmanager
def _alone(database: Path) -> Iterator[None]:
    """The service may have another run folder than this shell: the lock beside the database tells in any case."""
    program.make_private_folder(database.parent)
    try:
        with gate.held_alone(database):
            yield
    except DatabaseRecovering:
        raise ApplianceRunning(f"a program has {database} open") from None


def _extract(source: Path, folder: Path) -> None:
    """Unpack what belongs into a backup, and nothing else; each picture must be the one that its name says."""
    folder.mkdir(mode=0o700)
    try:
        with tarfile.open(source) as tar:
            for member in tar:
                if not (member.isreg() and _MEMBER.fullmatch(member.name)):
                    raise BackupInvalid(f"{source} holds {member.name!r}, which belongs into no backup")
                tar.extract(member, folder, filter="data")
                if member.name != _DATABASE:
                    _require_content(folder / member.name)
    except tarfile.TarError as error:
        raise BackupInvalid(f"{source}: {error}") from None
    except OSError as error:
        if isinstance(refusal := failures.of_disk(error), StorageFull):
            raise refusal from None
        raise BackupInvalid(f"{source}: {error.strerror}") from None
    if not (folder / _DATABASE).exists():
        raise BackupInvalid(f"{source} holds no database")


def _require_content(image: Path) -> None:
    with image.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != image.name:
            raise BackupInvalid(f"picture {image.name[:12]}… is damaged")


def _require_sound(database: Path) -> None:
    try:
        fault = soundness.fault(database)
    except DatabaseUnusable as error:  # of a newer PiVision
        raise BackupInvalid(str(error)) from None
    if fault is not None:
        raise BackupInvalid(f"its database cannot be used: {fault}")


def _give_to_owner_of(data_dir: Path, folder: Path) -> None:
    """Root may restore for the service's user."""
    owner = data_dir.stat()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
        path.chmod(0o700 if path.is_dir() else 0o600)


def _put_in_place(data_dir: Path, new: Path) -> Path:
    """Move the present data aside and the new in, the database last. Interrupted, it is repeated by hand."""
    aside = data_dir / "replaced"
    number = max((int(folder.name) for folder in aside.glob("*") if folder.name.isdecimal()), default=0) + 1
    replaced = aside / str(number)
    program.make_private_folder(replaced)
    _give_to_owner_of(data_dir, aside)
    for name in _REPLACED:
        if (data_dir / name).exists():
            (data_dir / name).rename(replaced / name)
    for name in ("images", _DATABASE):
        if (new / name).exists():
            (new / name).rename(data_dir / name)
    for folder in (replaced, data_dir):
        program.fsync_folder(folder)
    os.sync()  # every picture that was unpacked
    return replaced
