"""The commands venv, install, upgrade and uninstall of `python -m pivision`."""

import argparse
import sys
from pathlib import Path

from pivision.errors import InstallationFailed, OpencvMissing
from pivision.install import account, service, upgrade, venv
from pivision.install.steps import Steps


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the commands and their options."""
    made = commands.add_parser("venv", help="make .venv, or bring it up to date; `make run` does this by itself")
    made.add_argument(
        "--requirements", type=_path, help="make the environment for this file only, beside the one in use"
    )
    install = commands.add_parser("install", help="as root: install the service that starts at boot, or update it")
    upgraded = commands.add_parser("upgrade", help="as root: move to another version, and back if it does not answer")
    upgraded.add_argument("--to", metavar="REF", help="a tag, branch or commit; by default the newest of this branch")
    upgraded.add_argument("--back", action="store_true", help=argparse.SUPPRESS)  # for pivision-way-back.service
    install.add_argument("--on-trial", action="store_true", help=argparse.SUPPRESS)  # for upgrade
    removed = commands.add_parser("uninstall", help="as root: remove the service; data and logs stay")
    removed.add_argument("--data", action="store_true", help="delete data and logs, too, after asking")
    removed.add_argument("--yes", action="store_true", help="do not ask")
    for command in (made, install, upgraded, removed):
        command.set_defaults(does=run)
    for command in (made, install, upgraded):
        command.add_argument("--wheels", type=_path, metavar="DIR", help="no network: take packages from this folder")
    for command in (install, upgraded, removed):
        command.add_argument("--user", help="who the service runs as; by default the owner of this folder")
        command.add_argument("--dry-run", action="store_true", help="say each step, change nothing")


def run(options: argparse.Namespace) -> None:
    """Do what the command line says. Raises InstallationFailed."""
    if options.command == "venv":
        _make_venv(options.requirements, options.wheels)
        return
    service.give_bytecode_back(account.owner_of(venv.ROOT))
    if not options.dry_run:
        service.require_root()
    steps = Steps(options.dry_run)
    if options.command == "uninstall":
        installation = service.Installation(steps, options.user, None)
        if options.data and not (options.yes or options.dry_run):
            _ask(f"Delete every picture, task and token of {venv.ROOT}")
        installation.uninstall(options.data)
        return
    installation = service.Installation(steps, options.user, options.wheels)
    if options.command == "upgrade" and options.back:
        upgrade.back(installation)
        return
    if options.command == "upgrade":
        upgrade.upgrade(installation, options.to)
    else:
        if not options.on_trial:
            upgrade.refuse_while_undecided()
        installation.install()
    if not (options.dry_run or getattr(options, "on_trial", False)):
        installation.greet()


def _make_venv(requirements: Path | None, wheels: Path | None) -> None:
    try:
        folder = venv.ensure(requirements or venv.ROOT / "requirements.txt", wheels)
    except OpencvMissing as error:
        print(f"{error}\n{error.remedy}", file=sys.stderr)
        sys.exit(service.NEEDS_APT)
    if requirements is None:
        venv.switch_to(folder)


def _ask(question: str) -> None:
    try:
        answer = input(f"{question}? Type yes: ")
    except EOFError:
        answer = ""
    if answer.strip() != "yes":
        raise InstallationFailed("nothing was changed")


def _path(word: str) -> Path:
    return Path(word).resolve()
