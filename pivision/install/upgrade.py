"""Another version in place of the running one, and back again when it does not answer.

While the new version is on trial, a unit of its own is enabled: `pivision-way-back.service` goes back to the commit
before. It is started when the new version does not answer, and by the next boot when the power went away in between,
before pivision.service. What it needs is all there: the commit in git, the environment in `.venvs/`, and a copy of the
database.
"""

import contextlib
import os
import signal
import tempfile
from pathlib import Path

from pivision.errors import InstallationFailed
from pivision.install import checkout, serving, unit, venv
from pivision.install.account import Command
from pivision.install.place import Place
from pivision.install.service import Installation
from pivision.install.unit import WAY_BACK
from pivision.install.venv import ROOT

_TRIAL_SECONDS = 1800.0  # apt may have something to bring; the first answer itself has its own limit
_BACK_SECONDS = 600.0
_DATABASE_SECONDS = 600.0


def upgrade(installation: Installation, to: str | None) -> bool:
    """Move to the version `to`, or the newest of the branch; whether there was anything to do.

    Raises InstallationFailed: with nothing changed, or back at the old version.
    """
    steps, owner = installation.steps, installation.owner
    old = unit.installed_commit()
    if not old:
        raise InstallationFailed("no service has been installed from a git checkout; first: sudo make install")
    refuse_while_undecided()
    new = _target(installation, to)
    if new == old == checkout.commit(owner):
        steps.already(f"version {checkout.subject(owner, new)}")
        return False
    if lost := checkout.local_changes(owner, new):
        raise InstallationFailed(f"{ROOT} has changes of its own, which an upgrade would lose:\n{lost}")
    where = installation.place()
    _make_venv(installation, new)
    steps.take(f"{WAY_BACK}: back to {checkout.subject(owner, old)}", lambda: _open_way_back(installation, old))
    if not steps.is_dry_run:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal that goes away ends no upgrade
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _move(installation, new)
    except BaseException as error:  # noqa: BLE001  # Ctrl-C, too, must end at a version that works
        _start_way_back(installation, where)
        raise InstallationFailed(
            f"{checkout.subject(owner, new)} did not work, {checkout.subject(owner, old)} serves again"
            f" (how it went back: journalctl -u {WAY_BACK.name})\n{error}"
        ) from None
    steps.take("the new version answers: no way back is needed", lambda: _close_way_back(installation))
    return True


def back(installation: Installation) -> None:
    """What pivision-way-back.service runs once git is back at the old commit: everything else, except the start."""
    installation.make_venv()
    where = installation.place()
    if not installation.steps.is_dry_run:
        for line in installation.prepare("database-back").splitlines():
            installation.steps.warn(line)
    installation.write_unit(where)
    installation.write_supervisorctl()
    installation.steps.take("the old version is back", lambda: _close_way_back(installation))


def refuse_while_undecided() -> None:
    """Raise InstallationFailed while another upgrade is at work, or was ended with SIGKILL."""
    if WAY_BACK.exists():
        raise InstallationFailed(
            f"an upgrade is at work, or was killed: {WAY_BACK} is there. When none is at work, go back with: "
            "sudo systemctl stop pivision && sudo systemctl start pivision-way-back pivision"
        )


def _target(installation: Installation, to: str | None) -> str:
    """The commit to move to. Without network, what git knows already must do."""
    owner = installation.owner
    try:
        checkout.fetch(owner)
    except InstallationFailed as error:
        installation.steps.warn(f"{error}")
    if to is None:
        return checkout.newest(owner)
    found = checkout.commit(owner, f"origin/{to}") or checkout.commit(owner, to)
    if not found:
        raise InstallationFailed(f"git knows no version {to!r}")
    return found


def _make_venv(installation: Installation, new: str) -> None:
    """The new version's environment, beside the one in use, which goes on working meanwhile."""
    parts = venv.wanted()
    with tempfile.TemporaryDirectory(prefix="requirements-") as temporary:
        requirements = Path(temporary, "requirements.txt")
        requirements.write_text(checkout.read(installation.owner, new, requirements.name), encoding="utf-8")
        lists = [venv.requirements_of(part, requirements) for part in parts]
        for beside in (*lists, *(listed.with_suffix(".lock") for listed in (requirements, *lists))):
            with contextlib.suppress(InstallationFailed):  # the new version may not have it
                beside.write_text(checkout.read(installation.owner, new, beside.name), encoding="utf-8")
        for readable in (requirements.parent, *requirements.parent.iterdir()):  # to the owner, whatever root's umask
            readable.chmod(0o755)
        folder = venv.folder_for(requirements, parts)
        if venv.is_complete(folder):
            installation.steps.already(f"Python environment of the new version: {folder.relative_to(ROOT)}")
        else:
            what = f"Python environment of the new version, beside the old one: {folder.relative_to(ROOT)}"
            installation.steps.take(what, lambda: installation.run_venv("--requirements", requirements))


def _move(installation: Installation, new: str) -> None:
    steps, owner = installation.steps, installation.owner
    stop = ("stop", unit.NAME)
    steps.take(
        "systemctl stop pivision: the tasks at work are handed back",
        lambda: unit.systemctl(installation.root, *stop, timeout_seconds=unit.STOP_SECONDS),
    )
    steps.take("copy of the database", lambda: installation.prepare("database-copy", timeout_seconds=_DATABASE_SECONDS))
    steps.take(f"git: {checkout.subject(owner, new)}", lambda: checkout.move_to(owner, new))
    steps.take("the new version's own install", lambda: _install_new(installation))


def _install_new(installation: Installation) -> None:
    """The new version knows best what it needs; it also waits for its first answer."""
    wheels = ("--wheels", installation.wheels) if installation.wheels else ()
    user = ["--user", installation.user.name]
    command: Command = [venv.PYTHON, "-B", "-m", "pivision", "install", "--on-trial", *user, *wheels]
    if installation.root.attempt(command, _TRIAL_SECONDS, cwd=ROOT, is_shown=True).returncode:
        raise InstallationFailed("its install failed; the lines above say why")


def _open_way_back(installation: Installation, old: str) -> None:
    as_owner = f"/usr/sbin/runuser -u {installation.owner.name} --"
    unit.write(
        f"""# Written by `upgrade`, and only there while a new version is on trial.
[Unit]
Description=PiVision goes back to the version before an upgrade
Before={unit.NAME}

[Service]
Type=oneshot
WorkingDirectory={ROOT}
ExecStart={as_owner} /bin/rm -f .git/index.lock
ExecStart={as_owner} git reset --hard --quiet {old}
ExecStart={venv.PYTHON} -B -m pivision upgrade --back --user {installation.user.name}
TimeoutStartSec={_BACK_SECONDS:g}

[Install]
WantedBy=multi-user.target
""",
        WAY_BACK,
    )
    unit.systemctl(installation.root, "daemon-reload")
    unit.systemctl(installation.root, "enable", WAY_BACK.name)
    os.sync()


def _start_way_back(installation: Installation, where: Place) -> None:
    steps, root = installation.steps, installation.root
    stop = ("stop", unit.NAME)
    steps.take("systemctl stop pivision", lambda: unit.systemctl(root, *stop, timeout_seconds=unit.STOP_SECONDS))
    start = ("start", WAY_BACK.name)
    steps.take("going back", lambda: unit.systemctl(root, *start, timeout_seconds=_BACK_SECONDS))
    steps.take(
        "systemctl start pivision",
        lambda: unit.systemctl(root, "start", unit.NAME, timeout_seconds=unit.START_SECONDS),
    )
    steps.take("wait for its first answer", lambda: serving.wait(root, where))


def _close_way_back(installation: Installation) -> None:
    os.sync()  # the version that stays must be on the disk before nothing leads back any more
    unit.systemctl(installation.root, "disable", WAY_BACK.name)
    unit.remove(WAY_BACK)
    unit.systemctl(installation.root, "daemon-reload")
