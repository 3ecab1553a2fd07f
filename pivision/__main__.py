"""The operator's command: `python -m pivision …`.

What a command needs is imported when it runs: some must run before anything is installed.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pivision import __version__, doctor, privileges
from pivision.client import cli as client
from pivision.errors import InvalidRequest, PiVisionError
from pivision.install import cli as installer

_ROOTS = ("doctor", "install", "upgrade", "uninstall")
"""The commands that need root's rights; venv sees to it itself, for the owner of the folder."""


def _give_up_root() -> None:
    def data_dir() -> Path:
        from pivision import config

        return config.load().data_dir

    project = Path(__file__).resolve().parent.parent
    privileges.give_up_root(privileges.user_of(project, data_dir))


def _run(options: argparse.Namespace) -> None:
    from pivision import appliance, config

    appliance.run(config.load(), options.unattended)


def _token(options: argparse.Namespace) -> None:
    from pivision import config, tokens

    secrets_dir = config.in_use().secrets_dir
    if options.action == "make":
        print(tokens.create(secrets_dir, options.name, tokens.Scope(options.scope)))
    elif options.action == "list":
        for token in tokens.kept(secrets_dir):
            print(f"{token.name:<24} {token.scope}")
    elif not tokens.remove(secrets_dir, options.name):
        raise InvalidRequest(f"there is no token {options.name!r}; `token list` shows those that there are")


def _why(options: argparse.Namespace) -> None:
    from pivision import config, why

    for line in why.lines(config.in_use().data_dir, options.last):
        print(line)


def _doctor(options: argparse.Namespace) -> None:
    sys.exit(doctor.main(options))


def _models(options: argparse.Namespace) -> None:
    from pivision import config, model_commands

    settings = config.in_use()
    if options.action == "install":
        sys.exit(0 if model_commands.install(settings, options.names) else 1)
    if options.action == "remove":
        model_commands.remove(settings, options.names)
        return
    for line in model_commands.listing(settings):
        print(line)


def _drill(options: argparse.Namespace) -> None:
    from pivision import config, drill

    exercise = drill.Drill(config.in_use())
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


def _back_up(options: argparse.Namespace) -> None:
    from pivision import archive, config

    archived = archive.back_up(config.in_use(), options.file)
    print(f"{options.file}: the tasks up to {archived.last_id}, {archived.images} pictures")


def _restore(options: argparse.Namespace) -> None:
    os.umask(0o077)  # as the service has it
    from pivision import archive, config

    print(f"restored; what was there before is in {archive.restore(config.load(), options.file)}")


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
    token = command("token", _token, "make, list and revoke access tokens")
    kinds = token.add_subparsers(dest="action", required=True)
    make = kinds.add_parser("make", help="make an access token and print it; it is shown this once")
    make.add_argument("name", metavar="NAME", help="what it is for; a token of the same name is replaced")
    make.add_argument(
        "--scope",
        choices=("read", "submit", "admin"),
        default="admin",
        help="what it may: read; send pictures, too; remove tasks, too (default)",
    )
    kinds.add_parser("list", help="every token's name and scope")
    revoke = kinds.add_parser("revoke", help="let a token be valid no longer, and end its sessions")
    revoke.add_argument("name", metavar="NAME")
    why = command("why", _why, "tell what was restarted, when and why")
    why.add_argument("--last", type=int, default=20, metavar="N", help="how many events (default 20)")
    drill = command(
        "drill", _drill, "kill and freeze programs, one after the other, and report how the box mends itself"
    )
    drill.add_argument(
        "fault", nargs="*", help="which faults (default: all that are safe here); docs/faults.md lists them"
    )
    drill.add_argument("--yes", action="store_true", help="do not ask")
    back_up = command("backup", _back_up, "copy database and pictures to a tar file, while it serves or not")
    back_up.add_argument("file", type=Path, help="a file that is not there yet")
    restore = command("restore", _restore, "put such a file in the place of what is there; that is moved aside")
    restore.add_argument("file", type=Path)
    doctor.add_arguments(command("doctor", _doctor, "say what is wrong with this machine, and what mends it"))
    models = command("models", _models, "say which models there are, install and remove them")
    actions = models.add_subparsers(dest="action", metavar="install|remove")
    install = actions.add_parser("install", help="download models and see whether OpenCV can load them")
    install.add_argument(
        "names", nargs="*", metavar="NAME", help="of a model, or of an operation (default: faces objects)"
    )
    remove = actions.add_parser("remove", help="delete a model's file")
    remove.add_argument("names", nargs="+", metavar="NAME")
    client.add_to(commands)
    installer.add_to(commands)
    command("note-end", _note_end, "leave word of how it ended, for `why`; the unit calls it")

    options = parser.parse_args()
    try:
        if os.geteuid() == 0 and options.command not in (*_ROOTS, "venv"):
            _give_up_root()
        options.does(options)
    except PiVisionError as error:
        sys.exit(f"pivision: {error} [{error.code}]\n{error.remedy}")
    except PermissionError as error:
        who = privileges.entry(os.geteuid(), os.getegid()).pw_name
        sys.exit(
            f"pivision: {error.filename}: {error.strerror}, as {who}\n"
            "`sudo python3 -m pivision doctor` says whose PiVision's files must be."
        )
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] == "pivision":
            raise
        sys.exit(f"pivision: {error}; .venv/bin/python has it, after make run or sudo make install")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
