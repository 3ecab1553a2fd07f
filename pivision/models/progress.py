"""How far a download is, for people: one line that grows on a terminal, a line at each end anywhere else."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from pivision.progress import ProgressLine

_MEGABYTE = 1_000_000


class Progress:
    """Writes to standard error, so that standard output has results alone."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._line = ProgressLine(stream)

    @contextlib.contextmanager
    def of(self, name: str, size_bytes: int) -> Iterator[Callable[[int], None]]:
        """Tell of one download; what it gives is called with the number of bytes that are there."""
        began = time.monotonic()
        first = at = -1

        def tell(done_bytes: int) -> None:
            nonlocal first, at
            first, at = (done_bytes if first < 0 else first), done_bytes
            rate = (at - first) / max(time.monotonic() - began, 1e-3)
            tail = f"{at / _MEGABYTE:.1f} of {megabytes(size_bytes)}  {megabytes(int(rate))}/s"
            self._line.show(name, at, size_bytes, tail)

        self._line.begin(name)
        if not self._line.is_terminal:
            self._line.write(f"downloading {name}: {megabytes(size_bytes)}\n")
        try:
            yield tell
        finally:
            self._line.end()
            if not self._line.is_terminal and at == size_bytes:
                self._line.write(f"downloaded {name}: {megabytes(at)} in {time.monotonic() - began:.1f} s\n")


def megabytes(count: int) -> str:
    """A number of bytes, for people."""
    return f"{count / _MEGABYTE:.1f} MB"
