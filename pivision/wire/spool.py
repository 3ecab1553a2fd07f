"""Bodies that are still arriving: where they are kept, and how many bytes of them there may be.

A body is read to its end before the application sees it, so that a slow client holds no thread. Small ones wait in
memory, others in a file without a name in the data folder: on the disk whose reserve is known, and gone with the
process.
"""

import contextlib
import os
import tempfile
import threading
from collections import Counter
from typing import IO

from pivision import shared_folder
from pivision.disk import Disk
from pivision.errors import TooManyUploads

_IN_MEMORY_BYTES = 512 << 10
_STEP_BYTES = 64 << 10  # a body in chunks does not say how long it is


class Spool:
    """Counts the bytes that bodies may take, in all and for each address."""

    def __init__(self, max_bytes: int, max_bytes_per_address: int, setting: str) -> None:
        self._max_bytes = max_bytes
        self._max_bytes_per_address = max_bytes_per_address
        self._setting = setting
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    def take(self, address: str, size_bytes: int) -> None:
        """Count `size_bytes` more. Raises TooManyUploads."""
        with self._lock:
            if self._taken.total() + size_bytes > self._max_bytes:
                raise TooManyUploads(f"uploads may have {self._max_bytes} bytes in all ({self._setting})")
            if self._taken[address] + size_bytes > self._max_bytes_per_address:
                limit = f"{self._max_bytes_per_address} bytes ({self._setting}_per_address)"
                raise TooManyUploads(f"uploads from this address may have {limit}")
            self._taken[address] += size_bytes

    def give_back(self, address: str, size_bytes: int) -> None:
        """Count `size_bytes` less."""
        with self._lock:
            self._taken[address] -= size_bytes
            if not self._taken[address]:
                del self._taken[address]


class SpooledBody:
    """One body, in waitress' interface of a buffer. Raises TooManyUploads when it is made, and when it grows."""

    def __init__(self, spool: Spool, address: str, size_bytes: int, disk: Disk) -> None:
        self._spool = spool
        self._address = address
        self._disk = disk
        self._taken_bytes = 0
        self._size_bytes = 0
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, dir=str(disk.folder))  # noqa: SIM115
        self._take(size_bytes)

    def __len__(self) -> int:
        return self._size_bytes

    def append(self, data: bytes) -> None:
        """Take more of the body. Raises StorageFull, too."""
        self._size_bytes += len(data)
        if self._size_bytes > self._taken_bytes:
            self._take(max(_STEP_BYTES, self._size_bytes - self._taken_bytes))
        with shared_folder.errors():
            self._file.write(data)

    def move(self, spool: Spool, size_bytes: int) -> None:
        """Let this body, which will have `size_bytes`, count elsewhere."""
        spool.take(self._address, size_bytes)
        self._spool.give_back(self._address, self._taken_bytes)
        self._spool, self._taken_bytes = spool, size_bytes

    def beginning(self, size_bytes: int) -> bytes:
        """At most the first `size_bytes` of what has arrived."""
        self._file.seek(0)
        beginning = self._file.read(size_bytes)
        self._file.seek(0, os.SEEK_END)
        return beginning

    def flush(self) -> None:
        """Write what is still to be written. Raises StorageFull."""
        with shared_folder.errors():
            self._file.flush()

    def getfile(self) -> IO[bytes]:
        """Return the body from its beginning."""
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Let go of the bytes; may be called again."""
        with contextlib.suppress(OSError):  # of what could not be written to a full disk
            self._file.close()
        self._spool.give_back(self._address, self._taken_bytes)
        self._taken_bytes = 0

    def _take(self, size_bytes: int) -> None:
        self._disk.require_room(size_bytes)
        self._spool.take(self._address, size_bytes)
        self._taken_bytes += size_bytes
