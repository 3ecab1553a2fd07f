"""`python -m pivision doctor`: looks at all that PiVision needs, says what is wrong and what mends it.

Runs with the system's Python and no packages, before anything is installed: what needs packages is asked of the
environment's Python, in a process of its own (pivision/probe.py). A check is a function that takes the Site and gives
its findings; its name, with hyphens, is its id. docs/doctor.md describes each.
"""

import argparse
import dataclasses
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pivision.doctor import checkout, machine, models, report, rivals, service, software, storage, traps, unit
from pivision.doctor.finding import Finding, Findings, failure, warning
from pivision.doctor.report import Line
from pivision.doctor.site import AS_ROOT, Site

Check = Callable[[Site], Findings]

TRAPS: tuple[Check, ...] = (
    traps.unit_boot,
    traps.unit_kill_mode,
    traps.unit_start_limit,
    traps.unit_restart,
    traps.unit_paths,
    traps.unit_user,
    traps.unit_writable_folders,
    traps.unit_stop_timeout,
    traps.unit_notify,
)
"""Those that look at a unit file alone."""

CHECKS: tuple[Check, ...] = (
    rivals.port,
    rivals.legacy_units,
    rivals.first_plan_units,
    rivals.port_units,
    software.python,
    software.packages,
    software.opencv,
    software.sqlite,
    models.models,
    checkout.checkout,
    service.settings,
    service.supervisord,
    unit.unit,
    *TRAPS,
    storage.data_owner,
    storage.data_modes,
    storage.database,
    storage.free_space,
    storage.filesystem,
    machine.journal,
    machine.clock,
    machine.memory_cgroup,
    machine.power,
    machine.temperature,
    machine.userland,
    machine.worker_sandbox,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--json", action="store_true", help="write one JSON object instead of a table")
    parser.add_argument("--fix", action="store_true", help="mend what is safe to mend, asking before each")
    parser.add_argument("--yes", action="store_true", help="with --fix: do not ask")
    parser.add_argument("--unit", type=_existing_file, metavar="FILE", help="look at this unit file and nothing else")


def main(options: argparse.Namespace) -> int:
    """Examine, mend if asked to, and print what was found. The exit status: 1 if there is any failure, else 0."""
    site = Site(unit_path=options.unit)
    checks = TRAPS if options.unit else CHECKS
    lines = examine(site, checks)
    if options.fix and mend(lines, without_asking=options.yes):
        lines = examine(dataclasses.replace(site), checks)  # a new one has nothing remembered
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `doctor | head` is no error
    print(report.as_json(lines) if options.json else report.table(lines))
    return 1 if report.state(lines) == "failure" else 0


def examine(site: Site, checks: Iterable[Check] = CHECKS) -> list[Line]:
    """What the checks find, in their order."""
    return [Line(check_id(check), finding) for check in checks for finding in _found(check, site)]


def check_id(check: Check) -> str:
    """What the check is called in the table and in docs/doctor.md."""
    return check.__name__.replace("_", "-")


def _found(check: Check, site: Site) -> Iterator[Finding]:
    """A check that cannot look says so; the others go on."""
    try:
        yield from check(site)
    except PermissionError as error:
        yield warning(f"only root can see this: {error}", AS_ROOT)
    except (OSError, ValueError, LookupError) as error:
        yield failure(f"cannot be examined: {error}", f"see docs/doctor.md, {check_id(check)}")


def mend(lines: list[Line], *, without_asking: bool) -> bool:
    """Mend what can be mended; whether anything was tried."""
    tried = False
    for check, finding in lines:
        if finding.fix is None:
            continue
        if not without_asking and not _agreed(f"{check}: {finding.seen}\n  {finding.remedy}\nDo it? [y/N] "):
            continue
        tried = True
        try:
            finding.fix()
        except subprocess.CalledProcessError as error:
            _say(f"{check}: not mended: {error.stderr.decode(errors='replace').strip() or error}")
        except (OSError, subprocess.SubprocessError) as error:
            _say(f"{check}: not mended: {error}")
        else:
            _say(f"{check}: done: {finding.remedy}")
    return tried


def _existing_file(name: str) -> Path:
    if not (file := Path(name)).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {name}")
    return file


def _agreed(question: str) -> bool:
    """What a person answers; nobody there means no."""
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
