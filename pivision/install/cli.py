"""The commands venv, install, upgrade and uninstall of `python -m pivision`: what may be said on the command line.

What does them is imported when one of them runs, since every other command reads this, too.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pivision import privileges

if TYPE_CHECKING:
    from pivision.install.service import Installation


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the commands and their options; `does` of what is parsed is the function that does it."""

    def command(name: str, does: Callable[[argparse.Namespace], None], description: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(name, help=description, description=description)
        added.set_defaults(does=does)
        return added

    environment = command("venv", _venv, "make .venv, or bring it up to date; `make run` does this by itself")
    environment.add_argument("--requirements", type=_path, help="make one for this file, beside the one in use")

    install = command("install", _install, "as root: install the service that starts at boot, or bring it up to date")
    install.add_argument("--fix", action="store_true", help="stop and disable what is in the way, asking before each")
    install.add_argument("--on-trial", action="store_true", help=argparse.SUPPRESS)  # for upgrade

    upgraded = command("upgrade", _upgrade, "as root: move to another version, and back if it does not answer")
    upgraded.add_argument("--to", metavar="REF", help="a tag, branch or commit; by default the newest of this branch")
    upgraded.add_argument("--back", action="store_true", help=argparse.SUPPRESS)  # for pivision-way-back.service

    uninstall = command("uninstall", _uninstall, "as root: remove the service; data and logs stay")
    uninstall.add_argument("--data", action="store_true", help="delete data and logs, too, after asking")

    for each in (environment, install, upgraded):
        each.add_argument("--wheels", type=_path, metavar="DIR", help="no network: take packages from this folder")
    for each in (install, upgraded, uninstall):
        each.add_argument("--user", help="who the service runs as; by default as it is, or the owner of this folder")
        each.add_argument("--dry-run", action="store_true", help="say each step, change nothing")
    for each in (install, uninstall):
        each.add_argument("--yes", action="store_true", help="do not ask")


def _venv(options: argparse.Namespace) -> None:
    from pivision.errors import OpencvMissing
    from pivision.install import venv

    if os.geteuid() == 0:
        status = venv.ROOT.lstat()
        privileges.give_up_root(privileges.entry(status.st_uid, status.st_gid))
    try:
        parts = venv.wanted()
        folder = venv.ensure(options.requirements or venv.ROOT / "requirements.txt", options.wheels, parts)
    except OpencvMissing as error:
        print(f"{error}\n{error.remedy}", file=sys.stderr)
        sys.exit(venv.NEEDS_APT)
    if options.requirements is None:
        venv.switch_to(folder, parts)


def _install(options: argparse.Namespace) -> None:
    from pivision.install import checks, upgrade

    installation = _installation(options)
    checks.require_own_code(installation.steps)
    checks.require_visible_python(installation.steps)
    if not options.on_trial:
        upgrade.refuse_while_undecided()
    checks.require_no_rivals(installation.steps, fix=options.fix, without_asking=options.yes)
    installation.install()
    if not options.on_trial:
        installation.bring_models()
    if not (options.dry_run or options.on_trial):
        installation.greet()


def _upgrade(options: argparse.Namespace) -> None:
    from pivision.install import checks, upgrade

    installation = _installation(options)
    if options.back:
        upgrade.back(installation)
        return
    checks.require_own_code(installation.steps)
    if upgrade.upgrade(installation, options.to) and not options.dry_run:
        installation.bring_models()
        installation.greet()


def _uninstall(options: argparse.Namespace) -> None:
    from pivision.errors import InstallationFailed
    from pivision.install import venv

    installation = _installation(options)
    if options.data and not (options.yes or options.dry_run):
        print(f"This deletes every picture, task and token in {venv.ROOT}. Type yes: ", end="", flush=True)
        if sys.stdin.readline().strip() != "yes":
            raise InstallationFailed("nothing was changed")
    installation.uninstall(options.data)


def _installation(options: argparse.Namespace) -> "Installation":
    from pivision.install import checks, service
    from pivision.install.steps import Steps

    service.give_bytecode_back()
    if not options.dry_run:
        checks.require_root()
    return service.Installation(Steps(options.dry_run), options.user, getattr(options, "wheels", None))


def _path(word: str) -> Path:
    return Path(word).resolve()
