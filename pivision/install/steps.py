"""Says each step of an installation in one line, and in a dry run takes none of them."""

import contextlib
from collections.abc import Callable


class Steps:
    """What is done, in order. In a dry run `take` only says what it would do."""

    def __init__(self, is_dry_run: bool) -> None:
        self.is_dry_run = is_dry_run
        self._verb = "would" if is_dry_run else "does"

    def already(self, what: str) -> None:
        """Say that there is nothing to do."""
        _say(f"  ok     {what}")

    def take(self, what: str, act: Callable[[], object]) -> None:
        """Say `what`, and do it."""
        self.taken(what)
        if not self.is_dry_run:
            act()

    def taken(self, what: str) -> None:
        """Say what has been done, or in a dry run would be."""
        _say(f"  {self._verb:<6} {what}")

    def warn(self, what: str) -> None:
        """Say what is not as it should be and yet stops nothing."""
        _say(f"  note   {what}")


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that has gone away stops nothing
        print(line, flush=True)
