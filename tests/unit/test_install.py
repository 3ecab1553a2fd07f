"""The parts of the installation that need no root; tests/machine/test_install.py has the rest, on a booted systemd."""

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pivision import unit_text
from pivision.config import ROOT, Settings
from pivision.errors import InstallationFailed
from pivision.install import account, database, supervisorctl, unit, venv
from pivision.install.place import Place
from pivision.models import catalogue
from pivision.store import schema
from pivision.unit_text import substituted
from tests import needs
from tests.box import free_port
from tests.vision.conftest import weights

SYSTEM_PYTHON = "/usr/bin/python3"
COMMITTED = (ROOT / "systemd" / "pivision.service").read_text(encoding="utf-8")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A bare clone: what git knows and nothing else."""
    to = tmp_path / "clone"
    for folder in ("pivision", "conf", "systemd"):
        shutil.copytree(ROOT / folder, to / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.txt", to)
    return to


def system_python(clone: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`python3 -m pivision …` as it is on a machine where nothing is installed: -S shows it no packages at all."""
    command = [SYSTEM_PYTHON, "-S", "-B", "-m", "pivision", *arguments]
    return subprocess.run(command, cwd=clone, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60)


def snapshot(folder: Path) -> dict[str, tuple[int, int, int, str]]:
    """Every file below: its owner, its mode, when it was changed, what is in it."""
    return {
        str(file.relative_to(folder)): (
            (seen := file.lstat()).st_uid,
            seen.st_mode,
            seen.st_mtime_ns,
            hashlib.sha256(file.read_bytes()).hexdigest() if stat.S_ISREG(seen.st_mode) else "",
        )
        for file in folder.rglob("*")
    }


@needs.mark("systemd")
def test_a_dry_run_on_a_bare_clone_says_each_step_and_changes_nothing(clone: Path) -> None:
    (clone / "pivision.toml").write_text(f"port = {free_port()}\nsupervisor_port = {free_port()}\n")
    before = snapshot(clone), snapshot(unit.SYSTEM)
    run = system_python(clone, "install", "--dry-run", "--user", "nobody")
    assert (run.returncode, run.stderr) == (0, "")
    assert (snapshot(clone), snapshot(unit.SYSTEM)) == before
    assert {"  would  systemctl enable pivision", "  ok     starts at boot"} & set(run.stdout.splitlines())
    steps = run.stdout.splitlines()
    assert all(step.startswith(("  would  ", "  ok     ", "  note   ")) for step in steps)
    for step in (
        f"folder {clone}/data for nobody",
        f"folder {clone}/models for nobody",
        "models for faces and objects",
        "write /etc/systemd/system/pivision.service for nobody",
        "wait until http://127.0.0.1:8080/readyz answers 200",
    ):
        assert any(step in line for line in steps), f"{step} is not among {steps}"


@pytest.mark.parametrize("command", ["uninstall", "venv", "upgrade", "install"])
def test_each_command_explains_itself_without_packages(clone: Path, command: str) -> None:
    run = system_python(clone, command, "--help")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(f"usage: python -m pivision {command}")


def test_who_is_not_there_is_one_clear_line(clone: Path) -> None:
    run = system_python(clone, "install", "--dry-run", "--user", "nobody-of-that-name")
    assert run.returncode == 1
    error, remedy = run.stderr.splitlines()
    assert error == "pivision: there is no user 'nobody-of-that-name' on this machine [installation-failed]"
    assert remedy


def test_without_root_it_says_what_to_type(clone: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are for its user alone
        Path(folder).chmod(0o755)
        shutil.copytree(clone, folder, dirs_exist_ok=True)
        run = subprocess.run(
            [SYSTEM_PYTHON, "-B", "-m", "pivision", "install", "--user", "nobody"],
            cwd=folder,
            user="nobody" if os.geteuid() == 0 else None,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert run.returncode == 1
    error, remedy = run.stderr.splitlines()
    assert f"this needs root: sudo {SYSTEM_PYTHON} -B -m pivision install --user nobody" in error
    assert remedy


def test_the_unit_for_another_user_and_folder_names_no_other_and_is_valid(tmp_path: Path) -> None:
    root, data, logs, models = map(Path, ("/srv/vision/box", "/srv/vision/box/data", "/var/log/box", "/srv/models"))
    text = substituted(COMMITTED, "vision", root, data, logs, models)
    assert "djg" not in text
    assert "\nBindPaths=/srv/vision/box -/srv/vision/box/data -/var/log/box\n" in text
    assert "\nReadWritePaths=-/srv/vision/box/data -/var/log/box\n" in text
    assert "\nBindReadOnlyPaths=-/srv/models\n" in text
    assert "User=vision\n" in text
    assert "ExecStart=/srv/vision/box/.venv/bin/python -m pivision run --unattended\n" in text
    assert verified(tmp_path, text.replace("/srv/vision/box/.venv/bin/python", "/bin/true"))


def test_for_the_owner_of_the_committed_unit_it_stays_word_for_word() -> None:
    home = Path("/home/djg/Projects/PiVision")
    assert substituted(COMMITTED, "djg", home, home / "data", home / "logs", home / "models") == COMMITTED


@pytest.mark.parametrize("name", ["pivision.database", "djgx", "xdjg", "/home/someone/Projects/PiVision2"])
def test_only_whole_names_are_replaced(name: str) -> None:
    assert substituted(f"{name} ", "vision", Path("/box"), Path("/d"), Path("/l"), Path("/m")) == f"{name} "


def test_what_is_added_is_not_for_systemd_and_tells_what_runs(tmp_path: Path) -> None:
    first = unit.rendered("vision", Place(), "0123abcd")
    assert "\n[X-PiVision]\n" in first
    assert "\nCommit=0123abcd\n" in first
    assert first == unit.rendered("vision", Place(), "0123abcd")
    assert verified(tmp_path, first.replace(f"{ROOT}/.venv/bin/python", "/bin/true"))


@pytest.mark.parametrize("folder", ["/srv/a b", "/srv/50%", "/srv/$HOME", '/srv/"x"', "/srv/a\nb", "/srv/a;b"])
def test_a_folder_that_a_unit_would_read_otherwise_is_refused(folder: str) -> None:
    with pytest.raises(InstallationFailed, match="choose a folder"):
        unit.rendered("nobody", Place(data_dir=Path(folder)), "")
    assert "choose a folder" in unit_text.fault_of_path(Path(folder))


@pytest.mark.parametrize("folder", ["/srv/ab", "/home/jürgen/Фото/PiVision", "/srv/a+b@c,d.e-f_g"])
def test_a_plain_folder_in_any_language_is_taken(folder: str) -> None:
    assert unit_text.fault_of_path(Path(folder)) == ""


def test_a_unit_is_written_whole_and_seen_to_be_the_same(tmp_path: Path) -> None:
    file = tmp_path / "x.service.d" / "reboot.conf"
    assert not unit.is_written("[Service]\n", file)
    unit.write("[Service]\n", file)
    assert unit.is_written("[Service]\n", file)
    assert file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in file.parent.iterdir()] == ["reboot.conf"]


def test_the_defaults_are_those_of_the_settings() -> None:
    place, settings = Place(), Settings()
    for name in place._fields:
        assert getattr(place, name) == getattr(settings, name), name


def test_the_plain_command_passes_everything_on_and_finds_the_log_of_the_worker(tmp_path: Path) -> None:
    script = tmp_path / "supervisorctl"
    text = supervisorctl.text(account.named("nobody"))
    assert "runuser -u nobody --" in text
    script.write_text(text.replace(f"exec $as_user {supervisorctl.COMMAND}", "exec printf '<%s>'"))
    script.chmod(0o755)

    def passed_on(*words: str) -> str:
        return subprocess.run([script, *words], check=True, capture_output=True, text=True, timeout=10).stdout

    assert passed_on("status") == "<status>"
    assert passed_on("tail", "-f", "worker") == "<tail><-f><worker:worker_1>"
    assert passed_on("tail", "-f", "server") == "<tail><-f><server>"
    assert passed_on("tail", "worker", "stdout") == "<tail><worker:worker_1><stdout>"
    assert passed_on("restart", "worker:*") == "<restart><worker:*>"
    assert passed_on("restart", "a b", "") == "<restart><a b><>"


def test_environments_are_told_apart_by_what_is_in_them(tmp_path: Path) -> None:
    first, second = tmp_path / "1.txt", tmp_path / "2.txt"
    first.write_text("falcon==4.4.0\n")
    second.write_text("falcon==4.5.0\n")
    assert venv.folder_for(first) == venv.folder_for(first)
    assert venv.folder_for(first) != venv.folder_for(second)
    assert not venv.is_complete(venv.folder_for(second))


def test_switching_keeps_the_environment_before_and_removes_older_ones(clone: Path) -> None:
    def switch_to(name: str) -> None:
        (clone / ".venvs" / name).mkdir(parents=True)
        code = f"from pivision.install import venv; venv.switch_to(venv.ROOT / '.venvs' / '{name}')"
        subprocess.run([SYSTEM_PYTHON, "-B", "-c", code], cwd=clone, check=True, timeout=60)

    (clone / ".venv").mkdir()  # as it was before environments had their own folders
    (clone / ".venv" / "old").touch()
    for name, kept in (("one", {"before", "one"}), ("two", {"one", "two"}), ("three", {"two", "three"})):
        switch_to(name)
        assert (clone / ".venv").readlink() == Path(".venvs", name)
        assert {path.name for path in (clone / ".venvs").iterdir()} == kept


def test_a_wheels_folder_without_the_wheels_is_said_and_leaves_nothing_complete(clone: Path, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    run = system_python(clone, "venv", "--wheels", str(wheels))
    assert run.returncode == 1
    assert "No matching distribution found for supervisor" in run.stderr
    assert "installation-failed" in run.stderr
    assert not (clone / ".venv").exists()
    assert not list(clone.glob(".venvs/*/installed"))


def test_a_command_that_hangs_or_fails_is_an_error_that_says_so() -> None:
    me = account.owner_of(Path("/proc/self"))
    with pytest.raises(InstallationFailed, match=r"sleep 60 took longer than 0\.1 s"):
        me.run(["sleep", "60"], 0.1)
    with pytest.raises(InstallationFailed, match=r"(?s)ended with 3.*last words"):
        me.run(["sh", "-c", "echo last words >&2; exit 3"], 10)
    with pytest.raises(InstallationFailed, match="cannot be run"):
        me.run(["/no/such/program"], 10)


def test_a_command_is_told_where_downloads_come_from_and_no_other_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIVISION_PORT", "1")
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("PIVISION_MODEL_MIRROR", "/media/stick")
    seen = account.owner_of(Path("/proc/self")).run(["env"], 10).splitlines()
    assert "http_proxy=http://proxy:3128" in seen
    assert [line for line in seen if line.startswith("PIVISION_")] == ["PIVISION_MODEL_MIRROR=/media/stick"]


def bring_models(folder: Path, *mirror: Path, **environment: str) -> str:
    """What the installation says of the models; it goes on in any case."""
    run = subprocess.run(
        [sys.executable, "-B", "-m", "pivision.install.prepare", "models", *mirror],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PIVISION_MODELS_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0
    return run.stdout


def test_models_come_with_the_wheels_or_from_a_mirror_or_are_said_to_be_missing(tmp_path: Path) -> None:
    stick = weights(catalogue.first("faces").file).parent
    weights(catalogue.first("objects").file)
    folder, empty = tmp_path / "models", tmp_path / "empty"
    empty.mkdir()
    said = bring_models(folder, empty)
    assert said.startswith("  note   no model for faces and objects (file://")
    assert said.endswith("to turn it on: .venv/bin/python -m pivision models install faces objects\n")
    assert list(folder.iterdir()) == []

    said = bring_models(folder, empty, PIVISION_MODEL_MIRROR=str(stick))
    files = [folder / catalogue.first(operation).file for operation in ("faces", "objects")]
    assert said == "".join(f"  does   model {file}\n" for file in files)
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o644, 0o644], "prepare.py has a umask of its own"

    assert bring_models(folder, empty) == f"  ok     models in {folder}\n"
    files[0].unlink()
    assert bring_models(folder, stick) == f"  does   model {files[0]}\n"


def test_the_database_from_before_comes_back_only_when_the_present_one_is_refused(tmp_path: Path) -> None:
    import apsw

    settings = Settings(data_dir=tmp_path / "data")
    schema.prepare(settings.database, timeout_seconds=1)
    database.copy(settings)
    assert database.put_back(settings) == ""

    connection = apsw.Connection(str(settings.database))
    connection.execute("CREATE TABLE newer (x); PRAGMA user_version = 99")
    connection.close()
    said = database.put_back(settings)
    assert "newer PiVision" in said
    refused = settings.data_dir / "before-upgrade" / "refused-pivision.db"
    assert str(refused) in said
    schema.prepare(settings.database, timeout_seconds=1)  # no longer refused
    assert apsw.Connection(str(refused)).execute("PRAGMA user_version").get == 99
    assert database.put_back(settings) == "", "and not once more"


def verified(folder: Path, text: str) -> bool:
    """Whether systemd takes the unit without a word."""
    needs.require("systemd")
    file = folder / "pivision.service"
    file.write_text(text, encoding="utf-8")
    run = subprocess.run(["systemd-analyze", "verify", "--man=no", file], capture_output=True, text=True, timeout=60)
    assert run.stdout + run.stderr == ""
    return run.returncode == 0
