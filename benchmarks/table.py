"""Tables of measurements in Markdown: medians with their spread, ratios, and the goal beside each."""

import statistics
from collections.abc import Iterable, Sequence


def median(values: Iterable[float]) -> float:
    """The middle one: what a shared machine does to some of the rounds does not move it."""
    return statistics.median(values)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)]


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The median, and in brackets the smallest and the largest."""
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def verdict(value: float, goal: float, *, at_least: bool = False, digits: int = 1) -> str:
    """Whether a value meets its goal, and if not by how much it misses it."""
    sign = "at least" if at_least else "at most"
    if value >= goal if at_least else value <= goal:
        return f"{sign} {goal:g}: met"
    return f"{sign} {goal:g}: missed by {abs(value - goal):.{digits}f}"


def show(title: str, method: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print one table with what was measured and how."""
    lines = [header, ["---"] * len(header), *rows]
    print(f"\n## {title}\n\n{method}\n")
    for line in lines:
        print(f"| {' | '.join(line)} |")
    print(flush=True)
