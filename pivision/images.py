"""Image bytes at rest, each file named by the SHA-256 of its content, in 256 folders.

A received image is written to a file without a name (O_TMPFILE), flushed to the disk, and only then linked under its
name: a process that dies in between leaves nothing behind. Whoever makes a row for an image shares the lock of its
folder meanwhile, and whoever removes images without rows takes that lock alone, so that no row is ever made for an
image that is just being removed.

Names come from rows, and rows may come from elsewhere: nothing but 64 hexadecimal digits ever becomes a path here, and
files with other names are left alone.

Beside an image may lie its preview, for whoever looks at many at once. It is a convenience: not flushed to the disk,
not in a backup, and gone with the image.
"""

import contextlib
import fcntl
import hashlib
import io
import mmap
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from pivision import program, shared_folder
from pivision.disk import Disk
from pivision.errors import (
    DatabaseBusy,
    ImageEmpty,
    ImageLost,
    StorageFull,
    StorageUnavailable,
    UploadTooLarge,
)

_CHUNK_BYTES = 256 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHARD = re.compile(r"[0-9a-f]{2}")
_PREVIEW = ".preview"
_JPEG_BEGIN, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


class Readable(Protocol):
    """What an upload comes from: a request's body or a part of a form."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


class ReceivedImage:
    """An image that has arrived but has no name yet: gone when it is closed, unless it was kept."""

    def __init__(self, file: BinaryIO, folder: Path, sha256: str, size_bytes: int) -> None:
        self.sha256 = sha256
        self.size_bytes = size_bytes
        self._file = file
        self._folder = folder / sha256[:2]

    @contextlib.contextmanager
    def bytes(self) -> Iterator[mmap.mmap]:
        """The content, mapped and not read: the size of an upload is no matter of memory."""
        with shared_folder.errors():
            content = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        with content:
            yield content

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Make the image durable under its name, and protect it from removal until the block ends.

        The block is where the row is made that refers to it.
        """
        with shared_folder.locked(self._folder, fcntl.LOCK_SH) as folder:
            with shared_folder.errors():
                os.fsync(self._file.fileno())
                with contextlib.suppress(FileExistsError):  # the same picture was sent before
                    _name(self._file, self.sha256, folder)
                os.fsync(folder)
            yield


class Images:
    """The folder of images. Safe for any number of processes at once."""

    def __init__(self, folder: Path, reserve_bytes: int) -> None:
        self._folder = folder
        self.disk = Disk(folder, reserve_bytes)
        self._make_folders()

    @contextlib.contextmanager
    def receive(self, stream: Readable, max_bytes: int) -> Iterator[ReceivedImage]:
        """Take an image from `stream`, up to its end.

        Raises UploadTooLarge, ImageEmpty, StorageFull, StorageUnavailable; in each case nothing is left on the disk.
        """
        digest = hashlib.sha256()
        size_bytes = 0
        with shared_folder.errors():
            descriptor = os.open(self._folder, os.O_TMPFILE | os.O_RDWR, 0o600)
        with open(descriptor, "w+b", buffering=0) as file:
            while chunk := stream.read(_CHUNK_BYTES):
                size_bytes += len(chunk)
                if size_bytes > max_bytes:
                    raise UploadTooLarge(f"the image has more than {max_bytes} bytes (max_upload_bytes)")
                self.disk.require_room(len(chunk))
                digest.update(chunk)
                with shared_folder.errors():
                    _write_all(file, chunk)
            if not size_bytes:
                raise ImageEmpty("the image has no bytes")
            yield ReceivedImage(file, self._folder, digest.hexdigest(), size_bytes)

    @contextlib.contextmanager
    def kept(self, content: bytes) -> Iterator[str]:
        """Keep an image that was made here, and yield its SHA-256; protected from removal until the block ends.

        The block is where the row is made that refers to it. Raises StorageFull, StorageUnavailable, DatabaseBusy.
        """
        with self.receive(io.BytesIO(content), len(content)) as image, image.kept():
            yield image.sha256

    def _make_folders(self) -> None:
        """All at once and durable, so that receiving an image never waits for a folder of its own."""
        with shared_folder.errors():
            for number in range(256):
                program.make_private_folder(self._shard_folder(number))
            for folder in (self._folder, self._folder.parent):
                program.fsync_folder(folder)

    def path(self, sha256: str) -> Path:
        """Where the image is, if it is. Raises ImageLost for what is no SHA-256: no path is made of it."""
        if not _SHA256.fullmatch(sha256):
            raise ImageLost(f"{sha256[:64]!r} is no name of an image")
        return self._folder / sha256[:2] / sha256

    def open(self, sha256: str) -> BinaryIO:
        """The image, to be read. Raises ImageLost, and StorageUnavailable where nobody can tell whether it is there."""
        path = self.path(sha256)
        with shared_folder.reading(sha256):
            return open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")

    def read(self, sha256: str) -> bytes:
        """The image's bytes. Raises ImageLost, StorageUnavailable."""
        with self.open(sha256) as image, shared_folder.reading(sha256):
            return image.read()

    def keep_preview(self, sha256: str, jpeg: bytes) -> None:
        """Put a small JPEG of an image beside it. Whatever stands in the way, it can be done without."""
        file = self._preview(sha256)
        with contextlib.suppress(StorageFull, StorageUnavailable, DatabaseBusy), shared_folder.errors():
            self.disk.require_room(len(jpeg))
            with shared_folder.locked(file.parent, fcntl.LOCK_SH) as folder:
                descriptor = os.open(file.parent, os.O_TMPFILE | os.O_RDWR, 0o600)
                with open(descriptor, "w+b", buffering=0) as nameless:
                    _write_all(nameless, jpeg)
                    file.unlink(missing_ok=True)
                    _name(nameless, file.name, folder)

    def preview(self, sha256: str) -> bytes | None:
        """The small JPEG of an image; None if there is none, or a pulled plug has left a part of it."""
        try:
            jpeg = self._preview(sha256).read_bytes()
        except OSError:  # whatever it is: the image itself does as well
            return None
        return jpeg if jpeg.startswith(_JPEG_BEGIN) and jpeg.endswith(_JPEG_END) else None

    def remove_unreferenced(self, sha256s: Iterable[str], is_referenced: Callable[[str], bool]) -> int:
        """Remove those of the images that nothing refers to, and return how many bytes that has freed.

        What is in use just now, or cannot be removed, stays: whoever looks through all folders comes by again.
        """
        freed_bytes = 0
        for sha256 in filter(_SHA256.fullmatch, sha256s):
            file = self.path(sha256)
            with contextlib.suppress(OSError, StorageUnavailable), shared_folder.locked(file.parent, fcntl.LOCK_EX, 0):
                if not is_referenced(sha256):
                    for path in (file, self._preview(sha256)):
                        with contextlib.suppress(FileNotFoundError):
                            size_bytes = path.lstat().st_size
                            path.unlink()
                            freed_bytes += size_bytes
        return freed_bytes

    def shard(self, number: int) -> set[str]:
        """The images in one of the 256 folders: a share small enough to be looked through in passing.

        With those of which only a preview is left: they are to be removed, too.
        """
        return {file.name.removesuffix(_PREVIEW) for file in self._files(number)}

    def shard_bytes(self, number: int) -> int:
        """The size of one of the 256 folders: its images and their previews."""
        size_bytes = 0
        with shared_folder.errors():
            for file in self._files(number):
                with contextlib.suppress(FileNotFoundError):  # removed just now
                    size_bytes += file.stat(follow_symlinks=False).st_size
        return size_bytes

    def shards_changed_ns(self) -> dict[int, int]:
        """When a file in each folder was made or removed last: differs when its size may. Raises StorageUnavailable."""
        with shared_folder.errors(), os.scandir(self._folder) as folders:
            return {
                int(folder.name, 16): folder.stat(follow_symlinks=False).st_mtime_ns
                for folder in folders
                if _SHARD.fullmatch(folder.name)
            }

    def names(self) -> set[str]:
        """All of them."""
        return {file.name for number in range(256) for file in self._files(number) if not file.name.endswith(_PREVIEW)}

    def _preview(self, sha256: str) -> Path:
        return self.path(sha256).with_name(sha256 + _PREVIEW)

    def _files(self, number: int) -> list[os.DirEntry[str]]:
        """The files in this folder, but for those that are not ours. Raises StorageUnavailable."""
        try:
            with shared_folder.errors(), os.scandir(self._shard_folder(number)) as files:
                return [file for file in files if _SHA256.fullmatch(file.name.removesuffix(_PREVIEW))]
        except StorageUnavailable as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return []
            raise

    def _shard_folder(self, number: int) -> Path:
        return self._folder / f"{number:02x}"


def _name(nameless: BinaryIO, name: str, folder: int) -> None:
    """Give a file without a name this one in the folder that is open. Raises FileExistsError."""
    # open(2)'s way to name an O_TMPFILE; Python follows the link only when it is given a dst_dir_fd.
    os.link(f"/proc/self/fd/{nameless.fileno()}", name, dst_dir_fd=folder, follow_symlinks=True)


def _write_all(file: BinaryIO, chunk: bytes) -> None:
    """A full disk first writes less than it was given, and fails only when it is given the rest."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]
