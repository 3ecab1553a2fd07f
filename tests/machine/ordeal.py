"""One fault, timed: pictures come in before, during and after it, and nobody does anything but wait.

docs/faults.md says what is expected of each, and within how many seconds.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pivision.config import ROOT
from tests.box import eventually
from tests.machine.ledger import Ledger

TABLE = ROOT / "docs" / "faults.md"
_ROW = re.compile(r"^\| (.+?) \| (.+?) \| (\d+) \| `([^`]+)` \|$", re.MULTILINE)


class Row(NamedTuple):
    """What the table says of one test."""

    fault: str
    expected: str
    within_seconds: float


def rows() -> dict[str, Row]:
    """The table, by the tests' names: `test_file.py::test_name[parameter]`."""
    return {
        test: Row(fault, expected, float(seconds)) for fault, expected, seconds, test in _ROW.findall(TABLE.read_text())
    }


class Ordeal:
    """What one test puts its machine through."""

    def __init__(self, row: Row, ledger: Ledger) -> None:
        self.row = row
        self.ledger = ledger
        self.seen_seconds: float | None = None  # None until the machine has got over it

    @contextlib.contextmanager
    def fault(self, is_healed: Callable[[], object] = lambda: True) -> Iterator[None]:
        """Do the fault inside; it is over where the block ends, and then the clock runs.

        A new picture must then be done and `is_healed` be true in time, and what was acknowledged be done.
        """
        with self.ledger.steadily():
            yield
            seen_seconds = self.heals(is_healed)
        self.ledger.check()
        self.seen_seconds = seen_seconds

    def heals(self, is_healed: Callable[[], object] = lambda: True) -> float:
        """Wait until a new picture is done and `is_healed` is true, and return how long that took.

        Fails when it takes longer than the table says.
        """
        began = time.monotonic()
        self.ledger.post_and_read(self.row.within_seconds)
        left = self.row.within_seconds - (time.monotonic() - began)
        eventually(is_healed, f"all is as before after: {self.row.fault}", max(left, 0.1))
        return time.monotonic() - began
