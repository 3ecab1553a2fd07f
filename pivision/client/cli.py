"""`python -m pivision submit`, `tasks` and `watch`."""

import argparse
import atexit
import json
import os
import sys
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pivision import listening
from pivision.client import table
from pivision.client.connection import Connection
from pivision.client.events import SILENCE_SECONDS, Events
from pivision.client.submission import Outcome, Submission, pictures
from pivision.errors import FileUnreadable

TOKEN_VARIABLE = "PIVISION_CLIENT_TOKEN"  # noqa: S105  # its name
_PASSING = "command-"  # tokens that are gone with their process, whose number follows
_PAGE = 200


def add_to(commands: Any) -> None:
    """Add the three to the operator's command."""

    def command(name: str, does: Callable[[argparse.Namespace], None], description: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(name, help=description, description=description)
        added.set_defaults(does=does)
        added.add_argument("--url", help="the box's address (default: this one)")
        added.add_argument("--token-file", type=Path, metavar="FILE", help=f"has the token (default: {TOKEN_VARIABLE})")
        added.add_argument("--json", action="store_true", help="one line of JSON each, instead of a table")
        return added

    submit = command("submit", _submit, "send pictures and tell what is found in them")
    submit.add_argument("paths", nargs="+", type=Path, metavar="FILE|FOLDER")
    submit.add_argument("--operations", required=True, help="names with commas (codes,faces), or JSON")
    submit.add_argument("--source", help="where the pictures come from, in your words")
    submit.add_argument(
        "--timeout", type=float, default=300.0, metavar="SECONDS", help="for each picture (default 300)"
    )
    tasks = command("tasks", _tasks, "list the newest tasks")
    tasks.add_argument("--state", help="queued, running, done, failed, quarantined or cancelled")
    tasks.add_argument("--last", type=int, default=20, metavar="N", help="how many (default 20)")
    command("watch", _watch, "tell what happens to tasks, as it happens, until Ctrl-C")


def _submit(options: argparse.Namespace) -> None:
    submission = Submission(_box(options), options.operations, options.source, options.timeout)
    files = pictures(options.paths)
    outcomes: dict[Path, Outcome] = {}
    for outcome in submission.of(files):
        outcomes[outcome.file] = outcome
        if options.json:
            print(json.dumps({**outcome._asdict(), "file": str(outcome.file)}), flush=True)
    if not options.json:
        for line in table.lines(table.of_outcomes([outcomes[file] for file in files])):
            print(line)
    sys.exit(not all(outcome.is_done for outcome in outcomes.values()))


def _tasks(options: argparse.Namespace) -> None:
    box = _box(options)
    tasks: list[dict[str, Any]] = []
    cursor = ""
    while len(tasks) < options.last:
        query = {"limit": min(options.last - len(tasks), _PAGE), "state": options.state, "cursor": cursor}
        given = {name: value for name, value in query.items() if value}
        page = box.ask("GET", f"/v1/tasks?{urllib.parse.urlencode(given)}")
        tasks += page["tasks"]
        if (cursor := page["next"]) is None:
            break
    for line in map(json.dumps, tasks) if options.json else table.lines(table.of_tasks(tasks)):
        print(line)


def _watch(options: argparse.Namespace) -> None:
    for event in Events(_box(options, SILENCE_SECONDS)):
        if event.kind not in ("task", "removed"):
            continue
        if options.json:
            print(event.data, flush=True)
        elif event.kind == "task":
            print(table.of_event(json.loads(event.data)), flush=True)
        else:
            print(f"{json.loads(event.data)['id']:>6}  removed", flush=True)


def _box(options: argparse.Namespace, timeout_seconds: float = 30.0) -> Connection:
    token = _token(options.token_file)
    if options.url is not None:
        return Connection(options.url, token, timeout_seconds)
    from pivision import config

    settings = config.in_use()
    if token is None and settings.auth == "token":
        token = _passing_token(settings.secrets_dir)
    url = listening.url(listening.reachable_host(settings.host), settings.port)
    return Connection(url, token, timeout_seconds)


def _token(file: Path | None) -> str | None:
    """Never an argument: every user of the machine can read those."""
    if file is None:
        return os.environ.get(TOKEN_VARIABLE, "").strip() or None
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise FileUnreadable(f"the token in {file} cannot be read: {error}") from None


def _passing_token(secrets_dir: Path) -> str | None:
    """One for this command alone, on the box itself, where who may write can make tokens anyway; None for others."""
    from pivision import tokens

    try:
        if not secrets_dir.is_dir():
            return None
        for left in tokens.kept(secrets_dir):  # by commands that were killed
            if left.name.startswith(_PASSING) and not Path("/proc", left.name.removeprefix(_PASSING)).exists():
                tokens.remove(secrets_dir, left.name)
        name = f"{_PASSING}{os.getpid()}"
        token = tokens.create(secrets_dir, name, tokens.Scope.SUBMIT)
    except OSError:
        return None
    atexit.register(tokens.remove, secrets_dir, name)
    return token
