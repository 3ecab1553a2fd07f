"""The disk that holds a folder: how much room there is, and the reserve that is kept free on it."""

import os
from pathlib import Path

from pivision import shared_folder
from pivision.errors import StorageFull

_RESERVE_FILES = 16  # names kept free for the database and everything else, where a filesystem counts them


class Disk:
    """The disk of `folder`. Every method may raise StorageUnavailable."""

    def __init__(self, folder: Path, reserve_bytes: int) -> None:
        self.folder = folder
        self._reserve_bytes = reserve_bytes

    def require_room(self, size_bytes: int) -> None:
        """Raise StorageFull if `size_bytes` more would eat into the reserve, or if no more files can be made."""
        disk = self._look()
        free_bytes = disk.f_bavail * disk.f_frsize
        if free_bytes - size_bytes < self._reserve_bytes:
            free = f"{free_bytes} bytes are free"
            raise StorageFull(f"{free}, of which {self._reserve_bytes} are the reserve (disk_reserve_bytes)")
        if disk.f_files and disk.f_favail < _RESERVE_FILES:  # btrfs and its like count none: all is 0
            raise StorageFull(f"{disk.f_favail} more files can be made on this disk (df -i): too few")

    def free_bytes(self) -> int:
        """Return what this process may still write."""
        disk = self._look()
        return disk.f_bavail * disk.f_frsize

    def size_bytes(self) -> int:
        """Return the size of the disk; 0 where the filesystem does not tell."""
        disk = self._look()
        return disk.f_blocks * disk.f_frsize

    def _look(self) -> os.statvfs_result:
        with shared_folder.errors():
            return os.statvfs(self.folder)
