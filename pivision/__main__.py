"""The operator's command: `python -m pivision …`.

What a command needs is imported when it runs: some must run before anything is installed.
"""

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

from pivision import __version__
from pivision.errors import PiVisionError


def _run(options: argparse.Namespace) -> None:
    from pivision import appliance, config

    appliance.run(config.load(), options.unattended)


def _token(options: argparse.Namespace) -> None:
    from pivision import config, tokens

    print(tokens.create(config.load().secrets_dir, options.name))


def _why(options: argparse.Namespace) -> None:
    from pivision import config, why

    for line in why.lines(config.load().data_dir, options.last):
        print(line)


def _drill(options: argparse.Namespace) -> None:
    from pivision import config, drill

    exercise = drill.Drill(config.load())
    faults = exercise.faults(options.fault)
    if not options.yes and input(f"Programs will be killed and frozen: {', '.join(faults)}. Go on? [y/N] ") != "y":
        sys.exit(1)
    outcomes = []
    for outcome in exercise.run(faults):
        print(f"{outcome.fault}: {'passed' if outcome.is_passed else 'FAILED'}", file=sys.stderr, flush=True)
        outcomes.append(outcome)
    for line in drill.table(outcomes):
        print(line)
    sys.exit(not all(outcome.is_passed for outcome in outcomes))


def _note_end(options: argparse.Namespace) -> None:
    from pivision import config
    from pivision.health import tree

    tree.note_end(config.load().data_dir, os.environ)


def main() -> None:
    """Read the command line and do what it says; an error is one line and what to do about it."""
    parser = argparse.ArgumentParser(prog="python -m pivision", description="PiVision, the computer-vision box.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, does: Callable[[argparse.Namespace], Any], description: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(name, help=description, description=description)
        added.set_defaults(does=does)
        return added

    run = command("run", _run, "start the appliance in the foreground")
    run.add_argument(
        "--unattended", action="store_true", help="at boot: start even when the port is held, print no token"
    )
    token = command("token", _token, "make an access token and print it; it is shown this once")
    token.add_argument("name", help="what it is for; a token of the same name is replaced")
    why = command("why", _why, "tell what was restarted, when and why")
    why.add_argument("--last", type=int, default=20, metavar="N", help="how many events (default 20)")
    drill = command(
        "drill", _drill, "kill and freeze programs, one after the other, and report how the box mends itself"
    )
    drill.add_argument(
        "fault", nargs="*", help="which faults (default: all that are safe here); docs/faults.md lists them"
    )
    drill.add_argument("--yes", action="store_true", help="do not ask")
    command("note-end", _note_end, "leave word of how it ended, for `why`; the unit calls it")

    options = parser.parse_args()
    try:
        options.does(options)
    except PiVisionError as error:
        sys.exit(f"pivision: {error} [{error.code}]\n{error.remedy}")


if __name__ == "__main__":
    main()
