"""How far something is, for people: one line of the terminal that is written anew, and nothing anywhere else."""

import contextlib
import shutil
import sys
import time
from typing import TextIO

_PAUSE_SECONDS = 0.1  # between two looks of the line
_CLEAR = "\r\x1b[K"


class ProgressLine:
    """Writes to standard error, so that standard output has results alone."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self.is_terminal = self._stream.isatty()
        self._shown = time.monotonic()

    def show(self, name: str, done: int, size: int, tail: str) -> None:
        """Let the line say this, unless it said something a moment ago; but the end is always shown."""
        now = time.monotonic()
        if self.is_terminal and (now - self._shown >= _PAUSE_SECONDS or done == size):
            self._shown = now
            self.write(_CLEAR + _line(name, done, size, tail, shutil.get_terminal_size().columns))

    def begin(self, name: str) -> None:
        """Say that it begins."""
        if self.is_terminal:
            self._shown = time.monotonic()
            self.write(f"{_CLEAR}{name} …")

    def end(self) -> None:
        """Leave the line as it is, and go to the next."""
        if self.is_terminal:
            self.write("\n")

    def write(self, text: str) -> None:
        """Write this, terminal or not. A terminal that has gone away stops nothing."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
            self._stream.flush()


def _line(name: str, done: int, size: int, tail: str, columns: int) -> str:
    """Such as `yunet [#####.....]  50 %  0.1 of 0.2 MB  1.3 MB/s`, on one line of the terminal."""
    tail = f"{100 * done // size:3d} %  {tail}"
    width = max(columns - len(name) - len(tail) - len(" []  ") - 1, 0)
    filled = width * done // size
    return f"{name} [{'#' * filled}{'.' * (width - filled)}]  {tail}"[: columns - 1]
