"""pivision.service as it is installed: whether it starts at boot, and is the one of this checkout."""

from functools import partial
from pathlib import Path

from pivision import unit_text
from pivision.doctor.finding import Findings, failure, ok, warning
from pivision.doctor.site import UNIT, Site

_INSTALL = "sudo make install"
_COMMITTED = Path("systemd", UNIT)


def expected(site: Site) -> str:
    """The unit that this checkout would install: the committed one, for these folders and this user."""
    committed = (site.project / _COMMITTED).read_text(encoding="utf-8")
    settings = site.settings
    folders = (folder.resolve() for folder in (settings.data_dir, settings.log_dir, settings.models_dir))
    return unit_text.substituted(committed, site.user, site.project, *folders)


def unit(site: Site) -> Findings:
    """Whether pivision.service is installed, starts at boot, and is the one of this checkout."""
    if site.unit is None:
        yield warning(f"{UNIT} is not installed: nothing starts PiVision at boot", _INSTALL)
        return
    state = "".join(site.systemctl("is-enabled", UNIT)) or "not enabled"
    if state != "enabled":
        remedy = f"sudo systemctl enable {UNIT}"
        yield failure(f"{UNIT} is {state}: nothing starts it at boot", remedy, partial(site.enable, UNIT))
    installed, _, _ = site.unit.files[0].read_text(encoding="utf-8").partition(unit_text.ORIGIN)
    if installed != expected(site):
        yield warning(f"{site.unit.files[0]} is not what this checkout would install", _INSTALL)
    elif state == "enabled":
        yield ok(f"{UNIT} is enabled, and the one of this checkout")
