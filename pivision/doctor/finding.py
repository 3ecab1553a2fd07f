"""What a check has found."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

_SHOWN = 3  # of many paths

State = Literal["ok", "warning", "failure"]


class Finding(NamedTuple):
    """One line of the doctor's table."""

    state: State
    seen: str
    remedy: str = ""  # the command that mends it, or what to do where no command can
    fix: Callable[[], object] | None = None  # does the same for --fix; raises OSError or SubprocessError


Findings = Iterable[Finding]
"""What a check gives: nothing where it does not apply."""


def ok(seen: str) -> Finding:
    """As it should be."""
    return Finding("ok", seen)


def warning(seen: str, remedy: str, fix: Callable[[], object] | None = None) -> Finding:
    """PiVision runs with it, but not as well as it could, or not after every accident."""
    return Finding("warning", seen, remedy, fix)


def failure(seen: str, remedy: str, fix: Callable[[], object] | None = None) -> Finding:
    """PiVision does not run with it, or will not come back by itself one day."""
    return Finding("failure", seen, remedy, fix)


def some(paths: list[Path]) -> str:
    """Return the first of these paths and the number of the others, for people."""
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(map(str, paths[:_SHOWN])) + more
