"""What a unit file may say so that systemd does not always bring PiVision back, or does not let it work.

Each check looks at pivision.service and, where they start at boot, at the two units of the first plan; or at the one
file that `--unit` names.
"""

import configparser
import functools
import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path

from pivision.doctor import sandbox, unit_file
from pivision.doctor.finding import Finding, Findings, failure, ok
from pivision.doctor.rivals import FIRST_PLAN
from pivision.doctor.site import Site
from pivision.doctor.unit_file import UnitFile

_DEFAULT_STOP = "90s"  # DefaultTimeoutStopSec= of systemd-system.conf(5)
_DEFAULT_LIMIT = "10s"  # DefaultStartLimitIntervalSec=, with a burst of 5
_LIMIT_SECTIONS = {  # where systemd 252 reads each; StartLimitInterval is the name before systemd 230
    "StartLimitIntervalSec": ("Unit",),
    "StartLimitInterval": ("Unit", "Service"),
    "StartLimitBurst": ("Unit", "Service"),
}

Trap = Callable[[Site, UnitFile], Iterator[str]]
"""Says in a sentence each what is wrong with a unit."""


def _each_unit(trap: Trap) -> Callable[[Site], Findings]:
    @functools.wraps(trap)
    def check(site: Site) -> Iterator[Finding]:
        in_order = []
        for unit in _ours(site):
            remedy = f"sudo systemctl disable --now {unit.name}" if unit.name in FIRST_PLAN else "sudo make install"
            faults = [failure(f"{unit.name}: {fault}", remedy) for fault in trap(site, unit)]
            yield from faults
            in_order += [] if faults else [unit.name]
        if in_order:
            yield ok(f"{', '.join(in_order)}: in order")

    return check


def _ours(site: Site) -> Iterator[UnitFile]:
    if site.unit:
        yield site.unit
    for name in () if site.unit_path else FIRST_PLAN:
        if site.systemctl("is-enabled", name) == ["enabled"] and (unit := unit_file.find(site.root, name)):
            yield unit


@_each_unit
def unit_boot(site: Site, unit: UnitFile) -> Iterator[str]:
    """Whether the unit says what it belongs to at boot; without that, `systemctl enable` does nothing."""
    if not unit.words("Install", "WantedBy") and not unit.words("Install", "RequiredBy"):
        yield "no WantedBy= in [Install]: it cannot be enabled, and does not start at boot"


@_each_unit
def unit_kill_mode(site: Site, unit: UnitFile) -> Iterator[str]:
    """Whether systemd ends every process of the unit: an orphan would keep the port."""
    mode = unit.value("Service", "KillMode", "control-group")
    if mode in ("process", "none"):
        yield f"KillMode={mode} leaves orphans behind, which hold the port against the next start"


@_each_unit
def unit_start_limit(site: Site, unit: UnitFile) -> Iterator[str]:
    """Whether systemd gives up after some crashes; the unit is then failed until somebody comes."""
    counted = {}
    for key, sections in _LIMIT_SECTIONS.items():
        for section in ("Unit", "Service"):
            if value := unit.value(section, key):
                if section in sections:
                    counted[key] = value
                else:
                    yield f"{key}={value} is in [{section}], where it is unknown and ignored; it belongs in [Unit]"
    interval = counted.get("StartLimitIntervalSec", counted.get("StartLimitInterval", _DEFAULT_LIMIT))
    burst = counted.get("StartLimitBurst", "5")
    if burst != "0" and unit_file.seconds(interval) > 0:
        yield f"after {burst} starts within {interval} systemd gives up for good; StartLimitIntervalSec=0 never does"


@_each_unit
def unit_restart(site: Site, unit: UnitFile) -> Iterator[str]:
    """Whether systemd starts the program again, however it has ended."""
    if (restart := unit.value("Service", "Restart", "no")) != "always":
        yield f"Restart={restart} does not start it again whatever it has died of"


@_each_unit
def unit_paths(site: Site, unit: UnitFile) -> Iterator[str]:
    """Whether the program and the folder that the unit names are there."""
    folder = unit.value("Service", "WorkingDirectory").removeprefix("-")
    if folder.startswith("/") and not _below(site.root, folder).is_dir():
        yield f"there is no folder WorkingDirectory={folder}"
    start = unit.value("Service", "ExecStart")
    program = start.lstrip("@-:+!").split()[:1]
    if not program:
        yield "no ExecStart="
    elif program[0].startswith("/") and not os.access(_below(site.root, program[0]), os.X_OK):
        yield f"there is no program ExecStart={program[0]}"


@_each_unit
def unit_user(site: Site, unit: UnitFile) -> Iterator[str]:
    """Whether the unit runs as a user that exists and is not root."""
    user = unit.value("Service", "User")
    if user in ("", "root", "0"):
        yield "runs as root; User= must name the owner of the project's folder"
    elif not _exists(site.root, user):
        yield f"there is no User={user} on this machine"


@_each_unit
def unit_writable_folders(site: Site, unit: UnitFile) -> Iterator[str]:
    """Whether the sandbox lets PiVision write its data and logs, and lets the unit start at all."""
    return sandbox.faults(site, unit)


@_each_unit
def unit_stop_timeout(site: Site, unit: UnitFile) -> Iterator[str]:
    """Whether systemd waits until supervisord has stopped all its programs, one group after the other."""
    needed = _stop_seconds(site.project / "conf" / "supervisord.conf")
    given = unit.value("Service", "TimeoutStopSec", unit.value("Service", "TimeoutSec", _DEFAULT_STOP))
    if unit_file.seconds(given) not in (0, float("inf")) and unit_file.seconds(given) <= needed:  # 0 is for ever
        yield f"TimeoutStopSec={given}, but supervisord may take {needed:g} s to stop its programs"


@_each_unit
def unit_notify(site: Site, unit: UnitFile) -> Iterator[str]:
    """Whether systemd hears the programs below supervisord, which says nothing itself."""
    kind = unit.value("Service", "Type", "simple")
    speaks = kind == "notify" or unit_file.seconds(unit.value("Service", "WatchdogSec", "0")) > 0
    if speaks and (access := unit.value("Service", "NotifyAccess", "main")) != "all":
        yield f"Type={kind} with NotifyAccess={access}: systemd does not hear the program that speaks for PiVision"


def _below(root: Path, path: str) -> Path:
    return root / path.removeprefix("/")


def _exists(root: Path, user: str) -> bool:
    if root != Path("/"):
        accounts = (root / "etc/passwd").read_text(encoding="utf-8").splitlines()
        return any(user in account.split(":")[0:3:2] for account in accounts)
    try:
        return bool(pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user))
    except KeyError:
        return False


def _stop_seconds(conf: Path) -> float:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",), comment_prefixes=(";",))
    parser.read_string(conf.read_text(encoding="utf-8"))
    programs = [parser[name] for name in parser.sections() if name.startswith("program:")]
    return sum(program.getfloat("stopwaitsecs", 10) for program in programs)  # 10: supervisord's own default
