"""The ledger of requests: one line of JSON for each task that was stored, beside the database and apart from it.

It is written after the commit and not flushed: a pulled plug is the database's own business. The ledger is for a
database that is damaged, or whose -wal is gone: with the newest backup it tells of every task that was acknowledged.
"""

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pivision.store import failures
from pivision.store.rows import LARGEST_ID
from pivision.task import Image, Lane, Task


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a client has asked for, and the id that it was given."""

    id: int
    operations: msgspec.Raw
    source: str | None
    image: Image
    idempotency_key: str | None
    created_at: str
    lane: Lane = "batch"  # lines of earlier versions have none


_LINE_LIMIT_BYTES = 1 << 20
_PAUSE_SECONDS = 0.1
_DECODER = msgspec.json.Decoder(Request)


class Ledger:
    """The ledger in `folder`: requests.jsonl, of the requests since the last backup."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "requests.jsonl"
        self._has_failed = False

    def append(self, task: Task, idempotency_key: str | None) -> None:
        """Note a task. A disk that does not take the line is no reason to refuse what the database has taken.

        The file is opened each time: it may have been rotated since. The line break comes first, so that a line that
        was cut off spoils no other.
        """
        line = msgspec.json.encode(
            Request(
                id=task.id,
                operations=task.operations,
                source=task.source,
                image=task.image,
                idempotency_key=idempotency_key,
                created_at=task.created_at,
                lane=task.lane,
            )
        )
        try:
            descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH)  # let go of when it is closed
                os.write(descriptor, b"\n" + line)
            finally:
                os.close(descriptor)
            self._has_failed = False
        except OSError as error:
            if not self._has_failed:  # one line, however long it lasts
                logging.getLogger("store").warning("the ledger of requests cannot be written: %s", error)
            self._has_failed = True

    def size_bytes(self) -> int:
        """How long it is."""
        with contextlib.suppress(OSError):
            return self.file.stat().st_size
        return 0

    def rotate(self, to: Path) -> None:
        """Begin a new one; what is in the present one, if there is one, is in `to` from now on.

        Copied and emptied, not renamed: a worker may write this file and not the folder, in which the secrets lie. What
        is appended meanwhile is little, and copied under a lock. A process that dies in between leaves lines in both.
        """
        with contextlib.suppress(FileNotFoundError), self.file.open("r+b") as lines, to.open("wb") as copy:
            shutil.copyfileobj(lines, copy)
            copy.flush()
            os.fsync(copy.fileno())
            fcntl.flock(lines, fcntl.LOCK_EX)
            shutil.copyfileobj(lines, copy)
            copy.flush()
            lines.truncate(0)


def read(file: Path) -> Iterator[Request]:
    """The requests in a ledger, without lines that were cut off or damaged; none where there is no file.

    A sector that cannot be read is tried again, from the beginning: then requests come twice.
    """
    for _ in range(failures.READ_ATTEMPTS):
        try:
            yield from _requests(file)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _requests(file: Path) -> Iterator[Request]:
    with file.open("rb") as lines:
        while line := lines.readline(_LINE_LIMIT_BYTES):
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                request = _DECODER.decode(line)
                if 0 < request.id <= LARGEST_ID:
                    yield request
