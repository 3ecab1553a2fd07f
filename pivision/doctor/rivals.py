"""What else on this machine wants the port: a process, or a unit that starts at boot."""

import re
from functools import partial
from pathlib import Path

from pivision import port as ports
from pivision.doctor import unit_file
from pivision.doctor.finding import Finding, Findings, failure, ok, warning
from pivision.doctor.site import ACTIVE, AS_ROOT, UNIT, Site
from pivision.doctor.unit_file import UnitFile

LEGACY = (
    "aifoodstand-camera.service",
    "aifoodstand-server.service",
    "aifoodstand-uploader.service",
    "foodstand-backend.service",
)
"""The services that served on this machine before PiVision."""

FIRST_PLAN = ("pivision-server.service", "pivision-worker.service")
"""The two units of PiVision's first plan; pivision.service starts both programs now."""


def port(site: Site) -> Findings:
    """Who holds the ports of the server and of supervisord's web page."""
    for number in (site.settings.port, site.settings.supervisor_port):
        found = ports.holder(number)
        if found is None:
            yield ok(f"{number} is free")
        elif found.pid is None:
            yield warning(f"{number} is held by a process that only root can see", AS_ROOT)
        elif found.unit == UNIT or _is_ours(site, found.pid):
            yield ok(f"{number} is held by PiVision itself: {found}")
        else:
            yield failure(f"{number} is held by {found}", found.stop_command)


def legacy_units(site: Site) -> Findings:
    """Whether the services from before PiVision start at boot, or run."""
    return _others(site, LEGACY)


def first_plan_units(site: Site) -> Findings:
    """Whether the two units of the first plan start at boot, or run, beside pivision.service."""
    return _others(site, FIRST_PLAN)


def port_units(site: Site) -> Findings:
    """Which other units that start at boot name the port in their files; one of them may be only a client of it."""
    mention = re.compile(rf"(?<!\d){site.settings.port}(?!\d)")
    known = {UNIT, *LEGACY, *FIRST_PLAN}
    rivals = []
    for line in site.systemctl("list-unit-files", "--state=enabled", "--type=service,socket"):
        name = line.split()[0]
        unit = None if name in known else unit_file.find(site.root, name)
        if unit and (where := _mentioning(site.root, unit, mention)):
            rivals.append(name)
            seen = f"{name} starts at boot, and {where} names port {site.settings.port}"
            yield warning(seen, f"sudo systemctl disable --now {name}", partial(site.disable, name))
    if not rivals:
        yield ok(f"no other unit that starts at boot names port {site.settings.port}")


def _others(site: Site, services: tuple[str, ...]) -> Findings:
    """Services that must neither run nor start at boot, nor by what bears their name: a timer, a socket, a path."""
    listed = site.systemctl("list-unit-files", *(f"{Path(service).stem}.*" for service in services))
    states = {unit: state for unit, state, *_ in map(str.split, listed)}
    active = dict(zip(services, site.active_states(*services), strict=False))
    found: list[Finding] = []
    for unit in dict.fromkeys([*states, *services]):
        state, runs = states.get(unit, "not installed"), active.get(unit) in ACTIVE
        if state.startswith("enabled") or runs:
            seen = f"{unit} is {state}{' and runs' if runs else ''}"
            found.append(failure(seen, f"sudo systemctl disable --now {unit}", partial(site.disable, unit)))
    asleep = ", ".join(f"{unit} ({state})" for unit, state in states.items())
    return found or [ok(f"installed, but not starting at boot: {asleep}" if asleep else "none is installed")]


def _mentioning(root: Path, unit: UnitFile, mention: re.Pattern[str]) -> str | None:
    """The file of the unit that names the port in a line that counts."""
    if mention.search(unit.name):
        return "its name"
    for file in unit.files:
        if any(mention.search(value) for _, _, value in unit_file.lines(file)):
            return str(file)
    for word in unit.words("Service", "EnvironmentFile"):
        file = root / word.removeprefix("-").removeprefix("/")
        if file.is_file() and any(mention.search(value) for _, _, value in unit_file.lines(file)):
            return str(file)
    return None


def _is_ours(site: Site, pid: int) -> bool:
    """Whether the process is supervisord or a program of this checkout, started by hand."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    if str(site.project / "conf" / "supervisord.conf") in words:
        return True
    return any(word.startswith("pivision.") for word in words) and Path(f"/proc/{pid}/cwd").resolve() == site.project
