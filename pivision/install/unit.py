"""pivision.service: the committed unit, written for this user and these folders, and what systemd makes of it."""

import hashlib
import os
import re
from pathlib import Path

from pivision import program, unit_text
from pivision.errors import InstallationFailed
from pivision.install.account import Account
from pivision.install.place import Place
from pivision.install.venv import LINK, ROOT

NAME = "pivision.service"
SYSTEM = Path("/etc/systemd/system")
FILE = SYSTEM / NAME
REBOOT = SYSTEM / f"{NAME}.d" / "reboot.conf"
"""The drop-in that lets health reboot the machine: only there when reboots_max allows it."""

WAY_BACK = SYSTEM / "pivision-way-back.service"
"""Only there while a new version is on trial: upgrade.py."""

HOMES = ("/home", "/root", "/run/user")
"""What ProtectHome= of the unit hides from the service, but for the folders that it binds."""

START_SECONDS = 180.0  # above TimeoutStartSec of the unit
STOP_SECONDS = 120.0  # above its TimeoutStopSec

_COMMITTED = ROOT / "systemd" / NAME
_COMMIT = re.compile(r"^Commit=(.*)$", re.MULTILINE)


def rendered(user: str, place: Place, commit: str) -> str:
    """The unit's text for this checkout. Raises InstallationFailed for a folder that cannot stand in a unit."""
    for folder in (ROOT, place.data_dir, place.log_dir, place.models_dir):
        for each in (folder, folder.resolve()):
            if fault := unit_text.fault_of_path(each):
                raise InstallationFailed(fault)
        if folder != folder.resolve() and _is_hidden(folder):
            raise InstallationFailed(f"the service does not see the link {folder}: name {folder.resolve()} instead")
    return adapted(_COMMITTED, user, place) + (
        f"{unit_text.ORIGIN}# Not for systemd: what this was installed from. `upgrade` goes back here when the next\n"
        f"# version does not answer, and other files mean that a restart is due.\nCommit={commit}\nFiles={_digest()}\n"
    )


def adapted(file: Path, user: str, place: Place) -> str:
    """A committed unit, or drop-in, for this user and these folders."""
    folders = (folder.resolve() for folder in (place.data_dir, place.log_dir, place.models_dir))  # what links lead to
    return unit_text.substituted(file.read_text(encoding="utf-8"), user, ROOT, *folders)


def installed_commit() -> str:
    """The commit that the installed unit stands for; empty when there is none, or it was written by hand."""
    found = _COMMIT.search(_read(FILE))
    return found[1] if found else ""


def installed_user() -> str:
    """Who the installed service runs as; empty when there is none of this checkout."""
    text = _read(FILE)
    found = re.search(r"^User=(.*)$", text, re.MULTILINE)
    return found[1] if found and f"\nWorkingDirectory={ROOT}\n" in text else ""


def is_written(text: str, file: Path = FILE) -> bool:
    """Whether the file says exactly this already."""
    return _read(file) == text


def write(text: str, file: Path = FILE) -> None:
    """Write the file whole, on the disk, or not at all."""
    file.parent.mkdir(exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    with new.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    new.chmod(0o644)
    new.replace(file)
    program.fsync_folder(file.parent)


def remove(file: Path) -> None:
    """Remove a file of ours, and the folder of drop-ins once it is empty."""
    file.unlink(missing_ok=True)
    if file.parent != SYSTEM and not any(file.parent.iterdir()):
        file.parent.rmdir()
    program.fsync_folder(SYSTEM)


def systemctl(root: Account, *arguments: str, timeout_seconds: float = 60.0) -> None:
    """Tell systemd. Raises InstallationFailed."""
    root.run(["systemctl", *arguments], timeout_seconds)


def says(root: Account, question: str, name: str = NAME) -> str:
    """What `systemctl is-active` or `is-enabled` answers, in one word."""
    return root.attempt(["systemctl", question, name], 60).stdout.strip()


def _is_hidden(folder: Path) -> bool:
    """Whether the unit hides what is beside `folder` (ProtectHome=tmpfs), links included."""
    return not folder.is_relative_to(ROOT) and any(folder.is_relative_to(home) for home in HOMES)


def _digest() -> str:
    """What the running programs were started from: code, configuration and environment, in one number."""
    files = [path for folder in ("pivision", "conf") for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [ROOT / "requirements.txt", ROOT / "pivision.toml"]
    digest = hashlib.sha256(str(LINK.resolve()).encode())
    for file in sorted(file for file in files if file.suffix != ".pyc" and file.exists()):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
