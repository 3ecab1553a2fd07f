"""The steps of `install` and `uninstall`, in their order."""

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pivision import privileges
from pivision.errors import InstallationFailed
from pivision.install import account, apt, checkout, place, serving, supervisorctl, unit, venv
from pivision.install.account import Command
from pivision.install.place import Place
from pivision.install.steps import Steps
from pivision.install.venv import ROOT

_PLAIN_NAME = re.compile(r"\w[\w.-]*")  # whatever else a unit or a shell would read in its own way
_SECONDS = 120.0
_VENV_SECONDS = 3 * 3600.0
_MODELS_SECONDS = 3600.0  # a slow line; without any, it ends within seconds


class Installation:
    """One checkout and the accounts that it belongs to: `owner` has the files, `user` is who the service runs as."""

    def __init__(self, steps: Steps, user: str | None, wheels: Path | None) -> None:
        self.steps = steps
        self.root = account.caller()  # root, but for a dry run, which only asks
        self.owner = account.owner_of(ROOT)
        user = user or unit.installed_user()
        self.user = account.named(user) if user else self.owner
        self.wheels = wheels
        if not _PLAIN_NAME.fullmatch(self.user.name):
            raise InstallationFailed(f"user {self.user.name!r}: choose one of letters, digits and . _ - only")
        if self.user.uid == 0:
            raise InstallationFailed(
                f"{ROOT} belongs to root, whom nothing should run as: name the user with --user NAME"
            )

    def install(self) -> None:
        """Take every step that is not done already; the service answers afterwards. Raises InstallationFailed."""
        self.bring_packages()
        self.make_venv()
        self.compile_code()
        where = self.place()
        self.make_folders(where)
        self.make_secrets(where)
        is_changed = self.write_unit(where)
        self.write_supervisorctl()
        self.start(where, is_changed)

    def bring_packages(self) -> None:
        """What apt must bring, and the libraries without which OpenCV comes without windows."""
        needed, wanted = apt.missing_for_venv(), apt.missing_for_opencv()
        if self.wheels and needed:
            raise InstallationFailed(
                f"missing, and --wheels means no network: sudo apt install {' '.join(needed + wanted)}"
            )
        if self.wheels and wanted:
            self.steps.warn(
                f"not there, and --wheels means no network: {' '.join(wanted)}; OpenCV without windows does"
            )
        elif needed or wanted:
            packages = needed + wanted
            self.steps.take(f"apt-get install {' '.join(packages)}", lambda: self._bring(packages, bool(needed)))
        else:
            self.steps.already("Debian packages: all there")

    def make_venv(self) -> None:
        """The Python environment, made as the owner of the checkout."""
        folder = venv.folder_for(ROOT / "requirements.txt", venv.wanted())
        if venv.is_complete(folder) and venv.is_in_use(folder):
            self.steps.already(f"Python environment: .venv, which is {folder.relative_to(ROOT)}")
        else:
            what = f"Python environment: {folder.relative_to(ROOT)} for {self.owner.name}"
            self.steps.take(f"{what}{f', from {self.wheels}' if self.wheels else ''}", self.run_venv)

    def compile_code(self) -> None:
        """Python's bytecode of the programs, for a quicker start: in its sandbox the service cannot write it."""
        if not self.steps.is_dry_run:
            command: Command = [venv.LINK / "bin" / "python", "-m", "compileall", "-q", ROOT / "pivision"]
            self.owner.run(command, _SECONDS, cwd=ROOT)

    def run_venv(self, *arguments: str | Path) -> None:
        """Make an environment; what only apt has is brought, and asked for again."""
        wheels = ("--wheels", self.wheels) if self.wheels else ()
        command: Command = [venv.PYTHON, "-m", "pivision", "venv", *wheels, *arguments]
        status = self.owner.attempt(command, _VENV_SECONDS, cwd=ROOT, is_shown=True).returncode
        if status == venv.NEEDS_APT and not self.wheels:
            self.steps.take("apt-get install python3-opencv", lambda: apt.bring(self.root, ["python3-opencv"]))
            status = self.owner.attempt(command, _VENV_SECONDS, cwd=ROOT, is_shown=True).returncode
        if status:
            raise InstallationFailed("the Python environment could not be made; the lines above say why")

    def place(self) -> Place:
        """What the settings say; in a dry run before there is an environment, what they say by default."""
        try:
            return place.read(self.prepare())
        except InstallationFailed:
            if self.steps.is_dry_run:
                return Place()
            raise

    def make_folders(self, where: Place) -> None:
        """data/ and logs/, for the service's user alone, and models/, which everybody may read."""
        for folder in (where.data_dir, where.log_dir):
            if not folder.is_dir():
                self._make_folder(folder, 0o700)
            elif folder.stat().st_uid != self.user.uid or folder.stat().st_mode & 0o077:
                if folder.is_symlink():
                    raise InstallationFailed(
                        f"{folder} leads to {folder.resolve()}, which is not {self.user.name}'s alone"
                    )
                raise InstallationFailed(
                    f"{folder} must be {self.user.name}'s alone: sudo chown -R {self.user.name}: {folder}"
                    f" && sudo chmod -R go= {folder}"
                )
            else:
                self.steps.already(f"folder {folder}")
        if where.models_dir.is_dir():
            self.steps.already(f"folder {where.models_dir}")
        else:
            self._make_folder(where.models_dir, 0o755)

    def make_secrets(self, where: Place) -> None:
        """The owner's access token and the web page's password; both stay as they are once they are there."""
        if self.steps.is_dry_run:
            self.steps.taken(f"access token and web password in {where.token_file.parent}, unless they are there")
            return
        made = self.prepare("secrets").splitlines()
        for each in made:
            self.steps.taken(each)
        if not made:
            self.steps.already(f"access token and web password in {where.token_file.parent}")

    def bring_models(self) -> None:
        """Try once to bring what faces and objects need; the service runs already, and everything else needs none."""
        if self.steps.is_dry_run:
            self.steps.taken("models for faces and objects, unless they are there")
            return
        folder: Command = [self.wheels] if self.wheels else []
        try:
            python = venv.LINK / "bin" / "python"
            command: Command = [python, "-B", "-m", "pivision.install.prepare", "models", *folder]
            self.user.attempt(command, _MODELS_SECONDS, cwd=ROOT, is_shown=True)
        except InstallationFailed as error:
            self.steps.warn(str(error))

    def write_unit(self, where: Place) -> bool:
        """pivision.service and its drop-in; whether anything has changed."""
        text = unit.rendered(self.user.name, where, checkout.commit(self.owner))
        is_changed = self._put(text, unit.FILE)
        wanted = ROOT / "systemd" / f"{unit.NAME}.d" / "reboot.conf"
        if where.reboots_max and wanted.exists():
            is_changed |= self._put(unit.adapted(wanted, self.user.name, where), unit.REBOOT)
        elif unit.REBOOT.exists():
            self.steps.take(f"remove {unit.REBOOT}", lambda: unit.remove(unit.REBOOT))
            is_changed = True
        if is_changed:
            self.steps.take("systemctl daemon-reload", lambda: unit.systemctl(self.root, "daemon-reload"))
        return is_changed

    def write_supervisorctl(self) -> None:
        """Plain `supervisorctl` for the owner's shell, unless the name is taken."""
        if other := supervisorctl.other(self.user):
            self.steps.warn(f"{other} is another supervisor's and stays; PiVision's is: {supervisorctl.COMMAND}")
        elif supervisorctl.is_ours() and supervisorctl.FILE.read_text("utf-8") == supervisorctl.text(self.user):
            self.steps.already(f"{supervisorctl.FILE}")
        else:
            self.steps.take(f"write {supervisorctl.FILE}", self._write_supervisorctl)

    def start(self, where: Place, is_changed: bool) -> None:
        """Start at boot and now; restart only what runs with something old; wait for the first answer."""
        if unit.says(self.root, "is-enabled") == "enabled":
            self.steps.already("starts at boot")
        else:
            self.steps.take("systemctl enable pivision", lambda: unit.systemctl(self.root, "enable", unit.NAME))
        state = unit.says(self.root, "is-active")
        if state == "active" and not is_changed:
            self.steps.already("runs, with all of this")
        else:
            verb = "restart" if state in ("active", "activating", "deactivating") else "start"
            self.steps.take(f"systemctl {verb} pivision", lambda: self._start(verb))
        self.steps.take(f"wait until {where.url}/readyz answers 200", lambda: serving.wait(self.root, where))

    def prepare(self, *question: str, timeout_seconds: float = _SECONDS) -> str:
        """Let prepare.py do what only the environment's Python can, as the service's user; its answer."""
        command: Command = [venv.LINK / "bin" / "python", "-B", "-m", "pivision.install.prepare", *question]
        return self.user.run(command, timeout_seconds, cwd=ROOT)

    def greet(self) -> None:
        """Say where it is, who may use it, and the four commands that people need."""
        where = self.place()
        has_plain_command = supervisorctl.is_ours() and not supervisorctl.other(self.user)
        command = "supervisorctl" if has_plain_command else supervisorctl.COMMAND
        log = "worker" if has_plain_command else "worker:worker_1"
        print(
            f"\n  PiVision serves at {serving.address(where)}/\n  its access token is in {where.token_file}\n\n"
            f"  systemctl status pivision\n  {command} status\n  journalctl -u pivision -f\n  {command} tail -f {log}\n"
        )

    def uninstall(self, with_data: bool) -> None:
        """Stop and remove the service and the command; data, logs and environment stay unless `with_data`."""
        where = self.place() if with_data else Place()
        if unit.FILE.exists() and not unit.installed_user():
            raise InstallationFailed(f"{unit.FILE} belongs to another folder; uninstall it from there")
        for file in (unit.FILE, unit.WAY_BACK):
            if file.exists():
                stop = ("disable", "--now", file.name)
                act = partial(unit.systemctl, self.root, *stop, timeout_seconds=unit.STOP_SECONDS)
                self.steps.take(f"systemctl {' '.join(stop)}", act)
        for file in (unit.REBOOT, unit.FILE, unit.WAY_BACK):
            if file.exists():
                self.steps.take(f"remove {file}", partial(unit.remove, file))
            else:
                self.steps.already(f"no {file}")
        if supervisorctl.is_ours():
            self.steps.take(f"remove {supervisorctl.FILE}", supervisorctl.FILE.unlink)
        self.steps.take("systemctl daemon-reload", lambda: unit.systemctl(self.root, "daemon-reload"))
        for folder in (where.data_dir, where.log_dir):
            if with_data and folder.is_dir():
                self.steps.take(
                    f"delete {folder}", partial(self._in_folders, partial(privileges.remove_folder, folder))
                )
            elif folder.is_dir():
                self.steps.already(f"{folder} stays")

    def _bring(self, packages: list[str], is_needed: bool) -> None:
        try:
            apt.bring(self.root, packages)
        except InstallationFailed as error:
            if is_needed:
                raise
            self.steps.warn(f"{error}; OpenCV comes without windows instead")

    def _make_folder(self, folder: Path, mode: int) -> None:
        what = f"folder {folder} for {self.user.name}"
        self.steps.take(what, lambda: self._in_folders(partial(privileges.make_folder, folder, mode)))

    def _in_folders(self, change: Callable[[privileges.User], None]) -> None:
        """Change something where the service's user may write, too."""
        try:
            change(privileges.entry(self.user.uid, self.user.gid))
        except OSError as error:
            raise InstallationFailed(f"{error.filename}: {error.strerror}") from None

    def _put(self, text: str, file: Path) -> bool:
        if unit.is_written(text, file):
            self.steps.already(f"{file}")
            return False
        self.steps.take(f"write {file} for {self.user.name} and {ROOT}", lambda: unit.write(text, file))
        return True

    def _write_supervisorctl(self) -> None:
        unit.write(supervisorctl.text(self.user), supervisorctl.FILE)
        supervisorctl.FILE.chmod(0o755)

    def _start(self, verb: str) -> None:
        try:
            unit.systemctl(self.root, verb, unit.NAME, timeout_seconds=unit.START_SECONDS)
        except InstallationFailed as error:
            raise InstallationFailed(f"{error}\n{serving.report(self.root)}") from None


def give_bytecode_back() -> None:
    """What Python has compiled for root just now shall belong to the owner like the rest of the folder."""
    if os.geteuid() == 0:
        owner = account.owner_of(ROOT)
        for path, descriptor in privileges.entries(ROOT / "pivision"):
            if "__pycache__" in path.parts and os.fstat(descriptor).st_uid == 0:
                privileges.give(descriptor, privileges.entry(owner.uid, owner.gid))
