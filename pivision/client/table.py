"""Tasks as lines for people."""

from collections.abc import Iterator, Sequence
from typing import Any

from pivision.client.submission import Outcome


def lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows in columns; the first is the head."""
    shown = [[_printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def of_outcomes(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """What has become of pictures."""
    rows: list[tuple[str, ...]] = [("FILE", "TASK", "STATE", "FOUND")]
    for outcome in outcomes:
        task = outcome.task or {}
        error = outcome.error
        found = f"{error['code']}: {error['detail']}" if error else found_in(task)
        rows.append((str(outcome.file), str(task.get("id", "-")), task.get("state", "-"), found))
    return rows


def of_tasks(tasks: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """A list of tasks."""
    rows: list[tuple[str, ...]] = [("TASK", "STATE", "CREATED", "OPERATIONS", "SOURCE", "FOUND")]
    for task in tasks:
        names = ",".join(operation["name"] for operation in task["operations"])
        rows.append((str(task["id"]), task["state"], task["created_at"], names, task["source"] or "", found_in(task)))
    return rows


def of_event(task: dict[str, Any]) -> str:
    """A task, on a line of its own."""
    source = f" from {task['source']}" if task["source"] else ""
    return _printable(f"{task['id']:>6}  {task['state']:<11}  {found_in(task)}{source}".rstrip())


def found_in(task: dict[str, Any]) -> str:
    """How much of what: `codes 2, faces 0`; or why there is nothing."""
    if task.get("error"):
        return f"{task['error']['code']}: {task['error']['detail']}"
    return ", ".join(_found(name, result) for name, result in (task.get("result") or {}).items())


def _found(name: str, result: dict[str, Any]) -> str:
    if result.get("error"):
        return f"{name} {result['error']['code']}"
    things = next((value for value in result.values() if isinstance(value, list)), None)
    return name if things is None else f"{name} {len(things)}"


def _printable(text: str) -> str:
    """Without what a terminal would obey: names and sources are anybody's."""
    return "".join(character if character.isprintable() else "?" for character in text)
