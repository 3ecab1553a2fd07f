"""One file with all that a box has to lose, database and pictures, to take away; and the way back.

No secrets are in it: tokens and passwords stay where they are, on both boxes.
"""

import contextlib
import hashlib
import os
import re
import shutil
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pivision import instance, program, supervision, tarball
from pivision.config import Settings
from pivision.disk import Disk
from pivision.errors import (
    ApplianceRunning,
    BackupInvalid,
    BackupNotWritten,
    DatabaseRecovering,
    DatabaseUnusable,
    ImageLost,
    StorageFull,
)
from pivision.images import Images
from pivision.store import Store, adoption, failures, gate, salvage, soundness

_DATABASE = "pivision.db"
_FOREIGN = "foreign.db"  # the database of the backup, before its rows are taken
_CHUNK_BYTES = 1 << 20
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

    Whatever it holds is a stranger's: each picture must be what its name says, and each row of the database what a task
    must be; rows that are not are left out, with a line in the log.
    Raises ApplianceRunning, BackupInvalid, DatabaseUnusable and StorageFull; then nothing was changed.
    """
    _require_stopped(settings)
    data_dir = settings.data_dir
    with failures.of_the_disk(), _alone(settings.database):
        new = data_dir / "restoring"
        shutil.rmtree(new, ignore_errors=True)  # of a restore that was interrupted
        try:
            sizes = _extract(source, new, settings.disk_reserve_bytes)
            _adopt(new, sizes, settings)
            _give_to_owner_of(data_dir, new)
            return _put_in_place(data_dir, new)
        finally:
            shutil.rmtree(new, ignore_errors=True)


def _write(settings: Settings, copy: Path, descriptor: int) -> int:
    """Write the archive and return how many pictures are in it. What retention removes meanwhile is left out."""
    images = Images(settings.images_dir, settings.disk_reserve_bytes)
    count = 0
    with (
        open(descriptor, "wb", closefd=False) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        with copy.open("rb") as database:
            _add(tar, database, _DATABASE)
        for sha256 in sorted(salvage.images(copy)):
            with contextlib.suppress(ImageLost), images.open(sha256) as image:
                _add(tar, image, f"images/{sha256[:2]}/{sha256}")
                count += 1
    os.fsync(descriptor)
    return count


def _add(tar: tarfile.TarFile, file: BinaryIO, name: str) -> None:
    """As of nobody, and without a time: with one that has fractions, a header of its own would come before it."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = os.fstat(file.fileno()).st_size, 0o600
    tar.addfile(member, file)


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


def _extract(source: Path, folder: Path, reserve_bytes: int) -> dict[str, int]:
    """Unpack what belongs into a backup, and nothing else; return the size of each picture.

    Each picture must be the one that its name says, and the reserve of the disk stays free.
    """
    folder.mkdir(mode=0o700)
    disk, found = Disk(folder, reserve_bytes), dict[str, int]()
    try:
        with _opened(source) as file:
            disk.require_room(os.fstat(file.fileno()).st_size)
            for member in tarball.members(file):
                if not _MEMBER.fullmatch(member.name):
                    raise BackupInvalid(f"{member.name[:100]!r} belongs into no backup")
                if member.name in found:
                    raise BackupInvalid(f"{member.name!r} is in it twice")
                disk.require_room(member.size_bytes)
                _copy(file, member, folder / (_FOREIGN if member.name == _DATABASE else member.name))
                found[member.name] = member.size_bytes
    except BackupInvalid as error:
        raise BackupInvalid(f"{source}: {error}") from None
    except OSError as error:
        if isinstance(refusal := failures.of_disk(error), StorageFull):
            raise refusal from None
        raise BackupInvalid(f"{source}: {error.strerror}") from None
    if found.pop(_DATABASE, None) is None:
        raise BackupInvalid(f"{source} holds no database")
    return {name.rpartition("/")[2]: size_bytes for name, size_bytes in found.items()}


def _opened(source: Path) -> BinaryIO:
    """O_NONBLOCK, because a pipe or a device would keep this waiting: neither is a backup."""
    descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BackupInvalid("it is no plain file")
    return open(descriptor, "rb")


def _copy(file: BinaryIO, member: tarball.Member, target: Path) -> None:
    """Write a member's content to a new file, through no link. Raises BackupInvalid for a picture that is damaged."""
    if not target.parent.is_dir():
        target.parent.parent.mkdir(mode=0o700, exist_ok=True)
        target.parent.mkdir(mode=0o700)
    digest = hashlib.sha256()
    left = member.size_bytes
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(target, flags, 0o600), "wb") as copy:
        while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
            left -= len(chunk)
            digest.update(chunk)
            copy.write(chunk)
    if left:
        raise BackupInvalid(f"{member.name!r} ends too early")
    if target.name != _FOREIGN and digest.hexdigest() != target.name:
        raise BackupInvalid(f"picture {target.name[:12]}… is damaged")


def _adopt(folder: Path, sizes: dict[str, int], settings: Settings) -> None:
    """Make the database that is put in place: of the rows of the one that was unpacked."""
    foreign = folder / _FOREIGN
    Disk(folder, settings.disk_reserve_bytes).require_room(foreign.stat().st_size)
    before = settings.database if settings.database.is_file() else None
    try:
        adoption.adopt(foreign, folder / _DATABASE, sizes, before)
    except DatabaseUnusable as error:
        raise BackupInvalid(f"its database cannot be used: {error}") from None


def _give_to_owner_of(data_dir: Path, folder: Path) -> None:
    """Root may restore for the service's user."""
    owner = data_dir.stat()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


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
