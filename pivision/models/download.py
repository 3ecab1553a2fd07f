"""Brings a model's file into the folder of models: whole and right, or not at all.

It grows as FILE.part, which stays when the line breaks, so that the next attempt goes on behind it. Under its own name
it stands only once its sha256 is right and it is on the disk.
"""

import contextlib
import errno
import fcntl
import io
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from pivision import program
from pivision.errors import DownloadFailed, WrongFile
from pivision.models import source
from pivision.models.model import File, Origin
from pivision.models.progress import Progress, megabytes

SILENCE_SECONDS = 30.0  # for the name server, the connection and the first bytes together, and for each further one


def install(
    model: File,
    folder: Path,
    mirror: str,
    progress: Progress,
    *,
    silence_seconds: float = SILENCE_SECONDS,
    is_patient: bool = True,
) -> Path:
    """Bring a model of the catalogue, from the mirror if one is named; where it is now. One that is there stays.

    Only one command at a time downloads into a folder: another one waits, or fails unless it `is_patient`.
    Raises DownloadFailed.
    """
    if model.origin is None:
        raise DownloadFailed(f"{model.name} is your own model: put its file into {folder}")
    target = folder / model.file
    try:
        make_folder(folder)
        with locked(folder, is_patient):
            if not (target.exists() and model.origin.is_in(target)):
                part = target.with_name(f"{target.name}.part")
                _bring(model, model.origin, part, mirror, progress, silence_seconds)
                _put_in_place(part, target)
    except PermissionError as error:
        raise DownloadFailed(f"{error.filename or folder}: {error.strerror}; {_whose(folder)}") from None
    except OSError as error:
        raise DownloadFailed(f"{error.filename or target} cannot be written: {error.strerror}") from None
    return target


def remove(model: File, folder: Path) -> bool:
    """Remove a model's file, and what an attempt has left of it; whether there was one. Raises OSError."""
    files = [folder / model.file, folder / f"{model.file}.part"]
    found = [file for file in files if file.exists()]
    if found:
        with locked(folder, is_patient=True):
            for file in found:
                file.unlink(missing_ok=True)
            program.fsync_folder(folder)
    return files[0] in found


def make_folder(folder: Path) -> None:
    """Make `folder`, and what is missing above it, for all to read, whatever the umask. Raises OSError."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)


@contextlib.contextmanager
def locked(folder: Path, is_patient: bool) -> Iterator[None]:
    """Keep other commands out of `folder`. Raises OSError, and DownloadFailed when another one has it.

    It is the folder that is locked, and no file in it: one that is replaced or removed meanwhile would be another one
    for whoever has waited, and an attempt that fails leaves no trace.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if is_patient else fcntl.LOCK_NB))
        except BlockingIOError:
            raise DownloadFailed(f"another command is bringing models into {folder}") from None
        yield
    finally:
        os.close(descriptor)


def _bring(model: File, origin: Origin, part: Path, mirror: str, progress: Progress, silence_seconds: float) -> None:
    """Complete `part`. What an earlier attempt has left may be wrong, after a power cut: then all of it comes anew."""
    if not os.access(part.parent, os.W_OK | os.X_OK, effective_ids=True):  # said before anything is downloaded
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(part.parent))
    address = source.address(origin, model.file, mirror)
    there = part.stat().st_size if part.exists() else 0
    if there > origin.size_bytes:
        there = 0
    _require_room(part.parent, origin.size_bytes - there)
    for offset in dict.fromkeys((there, 0)):
        if offset < origin.size_bytes:
            pieces = source.pieces(address, offset, origin.size_bytes, silence_seconds)
            try:
                with progress.of(model.name, origin.size_bytes) as tell:
                    for done_bytes in _written(part, pieces):
                        tell(done_bytes)
            except WrongFile:
                part.unlink(missing_ok=True)
                raise
        if part.exists() and origin.is_in(part):
            return
        part.unlink(missing_ok=True)
    raise DownloadFailed(f"{address} is another file than the catalogue's: its sha256 differs; it was removed again")


def _written(part: Path, pieces: Iterator[source.Piece]) -> Iterator[int]:
    """Write what comes, and tell how many bytes are there now. Before anything has come, there is no file."""
    with contextlib.ExitStack() as stack:
        file = None
        for position, piece in pieces:
            if file is None:
                file = stack.enter_context(_opened(part))
                file.seek(position)
                file.truncate()
            rest = memoryview(piece)
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError as error:  # a full disk has better use for what is there
                part.unlink(missing_ok=True)
                raise DownloadFailed(f"{part} cannot be written: {error.strerror}; what had come was removed") from None
            yield position + len(piece)


def _opened(part: Path) -> io.FileIO:
    """Without a buffer, whose bytes a full disk would refuse once more when it is closed."""
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    return io.FileIO(descriptor, "r+b")


def _put_in_place(part: Path, target: Path) -> None:
    with part.open("rb") as file:
        os.fsync(file.fileno())
        os.fchmod(file.fileno(), 0o644)
    part.replace(target)
    program.fsync_folder(target.parent)


def _require_room(folder: Path, needed_bytes: int) -> None:
    disk = os.statvfs(folder)
    free_bytes = disk.f_bavail * disk.f_frsize
    if free_bytes < needed_bytes:
        raise DownloadFailed(
            f"{folder} has room for {megabytes(free_bytes)}, and {megabytes(needed_bytes)} are needed: free some space"
        )


def _whose(folder: Path) -> str:
    """Who may write there; a user without a name here by the number."""
    for path in (folder, *folder.parents):
        with contextlib.suppress(OSError):  # not there, or in a folder that nobody else may look into
            uid = path.stat().st_uid
            try:
                return f"run the command as the user who owns {path}: {pwd.getpwuid(uid).pw_name}"
            except KeyError:
                return f"run the command as the user who owns {path}: {uid}"
    return "run the command as another user"
