"""How far a download is, for people: one line that grows on a terminal, a line at each end anywhere else."""

import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

_PAUSE_SECONDS = 0.1  # between two looks of the line
_MEGABYTE = 1_000_000
_CLEAR = "\r\x1b[K"


class Progress:
    """Writes to standard error, so that standard output has results alone."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()

    @contextlib.contextmanager
    def of(self, name: str, size_bytes: int) -> Iterator[Callable[[int], None]]:
        """Tell of one download; what it gives is called with the number of bytes that are there."""
        began = shown = time.monotonic()
        first = at = -1

        def tell(done_bytes: int) -> None:
            nonlocal first, at, shown
            first, at = (done_bytes if first < 0 else first), done_bytes
            now = time.monotonic()
            if self._is_terminal and (now - shown >= _PAUSE_SECONDS or done_bytes == size_bytes):
                shown = now
                rate = (at - first) / max(now - began, 1e-3)
                self._write(_CLEAR + _line(name, at, size_bytes, rate, shutil.get_terminal_size().columns))

        self._write(f"{_CLEAR}{name} …" if self._is_terminal else f"downloading {name}: {megabytes(size_bytes)}\n")
        try:
            yield tell
        finally:
            if self._is_terminal:
                self._write("\n")
            elif at == size_bytes:
                self._write(f"downloaded {name}: {megabytes(at)} in {time.monotonic() - began:.1f} s\n")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a terminal that has gone away stops nothing
            self._stream.write(text)
            self._stream.flush()


def megabytes(count: int) -> str:
    """A number of bytes, for people."""
    return f"{count / _MEGABYTE:.1f} MB"


def _line(name: str, done: int, size: int, rate: float, columns: int) -> str:
    """Such as `yunet [#####.....]  50 %  0.1 of 0.2 MB  1.3 MB/s`, on one line of the terminal."""
    tail = f"{100 * done // size:3d} %  {done / _MEGABYTE:.1f} of {megabytes(size)}  {megabytes(int(rate))}/s"
    width = max(columns - len(name) - len(tail) - len(" []  ") - 1, 0)
    filled = width * done // size
    return f"{name} [{'#' * filled}{'.' * (width - filled)}]  {tail}"[: columns - 1]
