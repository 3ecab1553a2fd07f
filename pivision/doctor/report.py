"""What the doctor shows: a table for people, JSON for programs."""

import json
from collections.abc import Iterable
from typing import NamedTuple

from pivision.doctor.finding import Finding

_MENDED_BY = "mend: "


class Line(NamedTuple):
    """A finding, and the check that it comes from."""

    check: str
    finding: Finding


def state(lines: Iterable[Line]) -> str:
    """The worst state of all."""
    states = {line.finding.state for line in lines}
    return next((worst for worst in ("failure", "warning") if worst in states), "ok")


def table(lines: list[Line]) -> str:
    """A line for each finding, and below it the command that mends it."""
    width = max(len(line.check) for line in lines)
    rows = []
    for check, finding in lines:
        rows.append(f"{finding.state:<7}  {check:<{width}}  {finding.seen}")
        if finding.remedy:
            rows.append(f"{'':<7}  {'':<{width}}  {_MENDED_BY}{finding.remedy}")
    counts = {name: sum(line.finding.state == name for line in lines) for name in ("ok", "warning", "failure")}
    return "\n".join([*rows, "", ", ".join(f"{count} {name}" for name, count in counts.items())])


def as_json(lines: list[Line]) -> str:
    """The same as one JSON object."""
    findings = [
        {
            "check": check,
            "state": finding.state,
            "seen": finding.seen,
            "remedy": finding.remedy or None,
            "fixable": finding.fix is not None,
        }
        for check, finding in lines
    ]
    return json.dumps({"state": state(lines), "findings": findings}, indent=2, ensure_ascii=False)
