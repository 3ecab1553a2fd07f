"""What must be in order before anything is changed: root, systemd, and a port that nobody else holds."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from pivision import doctor, port
from pivision.doctor import checkout, rivals
from pivision.doctor.report import Line
from pivision.doctor.site import Site
from pivision.errors import InstallationFailed
from pivision.install import unit
from pivision.install.steps import Steps
from pivision.install.venv import ROOT

_CHECKS = (rivals.port, rivals.legacy_units, rivals.first_plan_units)


def require_root() -> None:
    """Raise InstallationFailed unless this may change the system, and the system is one that is understood."""
    if os.geteuid() != 0:
        raise InstallationFailed(f"this needs root: sudo {' '.join(sys.orig_argv)}")
    if not Path("/run/systemd/system").is_dir():
        raise InstallationFailed("systemd does not run here; without it, `make run` starts everything in a terminal")


def require_visible_python(steps: Steps) -> None:
    """See that the service, from which homes are hidden, sees the Python that its environment is made of."""
    prefix = Path(sys.base_prefix)
    if any(prefix.is_relative_to(home) for home in unit.HOMES) and not prefix.is_relative_to(ROOT):
        refusal = f"the service does not see {prefix}: use a Python of the system, make install PYTHON=/usr/bin/python3"
        if not steps.is_dry_run:
            raise InstallationFailed(refusal)
        steps.warn(refusal)


def require_own_code(steps: Steps) -> None:
    """See that nobody but its owner and root can change the code that root runs. Raises InstallationFailed."""
    if found := _failures(doctor.examine(Site(), [checkout.checkout])):
        listed = "\n".join(f"  {line.finding.seen}: {line.finding.remedy}" for line in found)
        if not steps.is_dry_run:
            raise InstallationFailed(f"others than its owner may change what root would run:\n{listed}")
        steps.warn(f"refused, since others than its owner may change what root would run:\n{listed}")


def require_no_rivals(steps: Steps, *, fix: bool, without_asking: bool) -> None:
    """See that nothing else has the port or will take it at the next boot; with `fix`, stop and disable what does.

    Other people's services are never stopped unasked. Raises InstallationFailed, which names them.
    """
    found = _failures(doctor.examine(Site(), _CHECKS))
    if found and fix and not steps.is_dry_run:
        doctor.mend(found, without_asking=without_asking)
        found = _failures(doctor.examine(Site(), _CHECKS))
    if found:
        listed = "\n".join(f"  {line.finding.seen}: {line.finding.remedy}" for line in found)
        raise InstallationFailed(f"in the way of PiVision (add --fix to have it stopped and disabled):\n{listed}")
    settings = Site().settings
    for number in (settings.port, settings.supervisor_port):
        holder = port.holder(number)
        if holder and holder.unit != unit.NAME:
            raise InstallationFailed(f"PiVision runs in a terminal; end it there with Ctrl-C: {holder}")
    steps.already(f"port {settings.port}: held by nobody else, now or at boot")


def _failures(lines: Iterable[Line]) -> list[Line]:
    return [line for line in lines if line.finding.state == "failure"]
