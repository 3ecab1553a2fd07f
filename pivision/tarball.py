"""A tar file of a stranger, read header by header: plain, of regular files alone, and no longer than it is.

tarfile itself unpacks what is compressed, follows extended headers of any length into memory, and knows links, devices
and sparse files. None of this is in a backup, so it is refused before anything is read or written for it.
"""

import os
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from pivision.errors import BackupInvalid

_BLOCK_BYTES = 512
_EXTENDED_LIMIT_BYTES = 1024  # earlier versions of PiVision wrote one before each member, with the time of the file
_TIMES = {b"mtime", b"atime", b"ctime"}
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")


class Member(NamedTuple):
    """A file in the archive; its content comes next."""

    name: str
    size_bytes: int


def members(file: BinaryIO) -> Iterator[Member]:
    """Each member, with `file` at the beginning of its content. Raises BackupInvalid, and OSError.

    Each is whole: its content ends before the file does. Names come as they are, also twice: they are the caller's.
    """
    end = os.fstat(file.fileno()).st_size
    position = 0
    while (block := _block(file, position)).strip(b"\0"):
        if not position and block.startswith(_COMPRESSED):
            raise BackupInvalid("it is compressed: unpack it to a plain .tar first")
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.TarError, ValueError) as error:
            raise BackupInvalid(f"what stands at byte {position} is no header of a tar file: {error}") from None
        content = position + _BLOCK_BYTES
        position = content + -(-header.size // _BLOCK_BYTES) * _BLOCK_BYTES
        if header.size < 0 or position > end:
            raise BackupInvalid(f"{header.name[:100]!r} has {header.size} bytes, but the file ends too early for that")
        if header.type == tarfile.XHDTYPE:
            _require_times_alone(file, content, header.size)
        elif header.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            file.seek(content)
            yield Member(header.name, header.size)
        else:
            raise BackupInvalid(f"{header.name[:100]!r} is no plain file (type {header.type!r})")


def _block(file: BinaryIO, position: int) -> bytes:
    file.seek(position)
    block = file.read(_BLOCK_BYTES)
    if len(block) < _BLOCK_BYTES:
        raise BackupInvalid("it is no tar file, or ends too early")
    return block


def _require_times_alone(file: BinaryIO, content: int, size_bytes: int) -> None:
    """An extended header may give a member another name and size than it has: such a one is refused."""
    if size_bytes > _EXTENDED_LIMIT_BYTES:
        raise BackupInvalid(f"it has an extended header of {size_bytes} bytes")
    file.seek(content)
    records = file.read(size_bytes).splitlines()
    keys = {record.partition(b" ")[2].partition(b"=")[0] for record in records}
    if not keys <= _TIMES:
        raise BackupInvalid("it has an extended header that says more than times")
