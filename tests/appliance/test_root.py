"""Each command, typed by root where an unprivileged user has laid links: nothing outside changes, nothing leaks."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pivision import privileges
from pivision.config import ROOT
from pivision.install.venv import PYTHON
from tests import needs
from tests.box import free_port

UID = 54321  # of nobody on this machine
SECRET = '{"number": 1, "at": "", "boot_id": "root-only", "uptime_seconds": 0, "program": "", "cause": "boot",'
SECRET += ' "detail": "root-only", "times": 1}\n'

pytestmark = needs.mark("root")


class Trap(NamedTuple):
    """A checkout of an unprivileged user, and a folder of root beside it that is nobody else's business."""

    checkout: Path
    outside: Path

    def run(self, *words: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
        """What root types in the checkout."""
        command = [str(self.checkout / ".venv" / "bin" / "python"), "-B", "-m", "pivision", *map(str, words)]
        variables = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environment}
        try:
            return subprocess.run(command, cwd=self.checkout, env=variables, capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired as error:
            return subprocess.CompletedProcess(command, 124, str(error.stdout), str(error.stderr))

    def link(self, name: str, to: Path) -> None:
        """What the user does, or a program of his that was taken over."""
        link = self.checkout / name
        link.parent.mkdir(parents=True, exist_ok=True)
        for folder in (link.parent, *link.parent.parents):
            if folder.is_relative_to(self.checkout):
                os.chown(folder, UID, UID)
        link.symlink_to(to)
        os.chown(link, UID, UID, follow_symlinks=False)


def seen(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Every file below and the folder itself: owner, group, mode, content."""
    return {
        str(path): (
            (status := path.lstat()).st_uid,
            status.st_gid,
            status.st_mode,
            path.read_bytes() if stat.S_ISREG(status.st_mode) else b"",
        )
        for path in (folder, *folder.rglob("*"))
    }


@pytest.fixture(scope="module")
def environment() -> Iterator[Path]:
    """An environment that everybody may read, with the packages of this one; its supervisord says whose it is."""
    pythons = [PYTHON, Path("/usr/bin", PYTHON.name)]
    readable = next((python for python in pythons if may_be_read(python.resolve())), None)
    if readable is None or not may_be_read(ROOT):
        needs.skip("root", "other users cannot read this Python, or this folder")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        made = Path(folder, "environment")
        subprocess.run([readable, "-m", "venv", "--without-pip", made], check=True, timeout=60)
        packages = next(path for path in sys.path if path.endswith("site-packages"))
        own = next(made.glob("lib/python3*/site-packages"))
        (own / "packages.pth").write_text(packages)
        (own / "supervisor").mkdir()
        (own / "supervisor" / "__init__.py").touch()
        (own / "supervisor" / "supervisord.py").write_text("import os; print('supervisord of', os.getresuid())\n")
        yield made


def may_be_read(path: Path) -> bool:
    return path.exists() and all(folder.stat().st_mode & 0o005 == 0o005 for folder in (path, *path.parents))


@pytest.fixture(params=["of the user", "of root"])
def trap(request: pytest.FixtureRequest, environment: Path) -> Iterator[Trap]:
    """A checkout that the user owns; or one that root owns, with a data folder that the user owns."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are for its user alone
        Path(folder).chmod(0o755)
        checkout, outside = Path(folder, "checkout"), Path(folder, "outside")
        for name in ("pivision", "conf", "systemd"):
            shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        for file in ROOT.glob("requirements*.txt"):
            shutil.copy(file, checkout)
        outside.mkdir(mode=0o755)
        (outside / "victim").write_text("precious\n")
        (outside / "secret").write_text(SECRET)
        (outside / "secret").chmod(0o600)
        (checkout / "pivision.toml").write_text(f"port = {free_port()}\nsupervisor_port = {free_port()}\n")
        for name in ("data", "data/secrets", "logs", "run", "models"):
            (checkout / name).mkdir(mode=0o700)
            os.chown(checkout / name, UID, UID)
        if request.param == "of the user":
            for path in (checkout, *checkout.rglob("*")):
                os.chown(path, UID, UID)
        (checkout / ".venv").symlink_to(environment)
        yield Trap(checkout, outside)


def a_backup(trap: Trap) -> Path:
    """An archive that can be restored, of another box."""
    from pivision import archive
    from pivision.config import Settings
    from pivision.store import schema

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder, "data"), run_dir=Path(folder, "run"))
        schema.prepare(settings.database, timeout_seconds=5)
        file = trap.outside.parent / "backup.tar"
        archive.back_up(settings, file)
    file.chmod(0o644)
    return file


Act = Callable[[Trap], object]


def act(*words: str, **environment: str) -> Act:
    return lambda trap: trap.run(*words, **environment)


@pytest.mark.parametrize(
    ("link", "to", "command"),
    [
        ("data/secrets/tokens", ".", act("token", "make", "victim")),
        ("data/secrets/tokens", ".", act("token", "make", "new")),
        ("data/secrets/tokens", ".", act("token", "revoke", "victim")),
        ("data/last-end", "victim", act("note-end")),
        ("run/root", "victim", act("run", "--unattended")),
        ("run/secrets", ".", act("run", "--unattended")),
        ("data/replaced", ".", lambda trap: trap.run("restore", a_backup(trap))),
        ("data/restoring", ".", lambda trap: trap.run("restore", a_backup(trap))),
        ("data/out", ".", lambda trap: trap.run("backup", trap.checkout / "data" / "out" / "stolen.tar")),
        ("models/below", ".", lambda trap: trap.run("models", "install", PIVISION_MODELS_DIR="models/below/x")),
        (".venvs", ".", lambda trap: trap.run("venv", "--wheels", trap.outside)),
        ("data/pivision.db", "victim", act("drill", "--yes")),
        ("data/images", ".", act("doctor", "--fix", "--yes")),
        ("logs/server.log", "victim", act("doctor", "--fix", "--yes")),
    ],
)
def test_a_link_leads_no_command_of_roots_anywhere(trap: Trap, link: str, to: str, command: Act) -> None:
    if (trap.checkout / "pivision").stat().st_uid == 0 and link == ".venvs":
        return  # what root alone may write to, nobody lays links into
    if link == "data/out":
        from pivision.store import schema

        schema.prepare(trap.checkout / "data" / "pivision.db", timeout_seconds=5)
        for path in (trap.checkout / "data").iterdir():
            os.chown(path, UID, UID)
    trap.link(link, trap.outside / to)
    before = seen(trap.outside)
    done = command(trap)
    assert seen(trap.outside) == before, done


@pytest.mark.parametrize(
    ("words", "folder"),
    [
        ("token make victim", "data"),
        ("note-end", "data"),
        *(("run --unattended", folder) for folder in ("data", "logs", "run", "models")),
        *(("doctor --fix --yes", folder) for folder in ("data", "logs", "run")),
    ],
)
def test_a_whole_folder_that_is_a_link(trap: Trap, words: str, folder: str) -> None:
    (trap.checkout / folder).rename(trap.checkout / "before")
    trap.link(folder, trap.outside)
    before = seen(trap.outside)
    done = trap.run(*words.split())
    assert seen(trap.outside) == before, done


def test_what_only_root_may_read_is_not_shown(trap: Trap) -> None:
    trap.link("data/history.jsonl", trap.outside / "secret")
    assert "root-only" not in trap.run("why").stdout


def test_supervisord_and_all_below_it_are_the_users(trap: Trap) -> None:
    assert trap.run("run", "--unattended").stdout == f"supervisord of {(UID, UID, UID)}\n"


def test_what_belongs_to_root_is_said_in_one_line(trap: Trap) -> None:
    """As after a `sudo make run` of a version that ran as root."""
    os.chown(trap.checkout / "data" / "secrets", 0, 0)
    done = trap.run("token", "make", "new")
    assert done.returncode == 1
    assert done.stderr.startswith(f"pivision: {trap.checkout}/data/secrets/tokens: Permission denied, as {UID}\n")


def test_what_root_makes_belongs_to_the_user(trap: Trap) -> None:
    assert trap.run("token", "make", "made-with-sudo").returncode == 0
    made = trap.checkout / "data" / "secrets" / "tokens"
    assert {path.stat().st_uid for path in (made, *made.iterdir())} == {UID}


def test_another_name_of_a_foreign_file_hands_nothing_over(trap: Trap) -> None:
    """A hard link, where the kernel does not refuse them (fs.protected_hardlinks)."""
    os.link(trap.outside / "secret", trap.checkout / "data" / "mine")
    (trap.checkout / "data" / "by-root").touch()
    done = trap.run("doctor", "--fix", "--yes")
    assert (trap.outside / "secret").stat().st_uid == 0, done
    assert "other names" in done.stderr
    assert (trap.checkout / "data" / "by-root").stat().st_uid == UID


def test_a_folder_is_made_and_removed_where_no_link_leads(trap: Trap) -> None:
    user = privileges.entry(UID, UID)
    trap.link("data/out", trap.outside)
    with pytest.raises(OSError, match="does not follow"):
        privileges.make_folder(trap.checkout / "data" / "out" / "new", 0o700, user)
    with pytest.raises(OSError, match="out"):
        privileges.remove_folder(trap.checkout / "data" / "out", user)
    with pytest.raises(OSError, match="Permission denied"):
        privileges.remove_folder(trap.outside, user)
    assert (trap.outside / "victim").read_text() == "precious\n"

    made = trap.outside / "new" / "folder"
    privileges.make_folder(made, 0o700, user)
    assert (made.stat().st_uid, made.stat().st_mode & 0o777, made.parent.stat().st_uid) == (UID, 0o700, 0)
    (made / "file").touch()
    os.chown(made / "file", UID, UID)
    privileges.remove_folder(made, user)
    assert not made.exists()
