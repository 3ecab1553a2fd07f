"""What the doctor finds in data folders, databases and on disks: real ones, damaged by hand."""

import contextlib
import os
import pwd
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from pivision import doctor
from pivision.doctor import storage
from pivision.doctor.finding import Finding, Findings
from pivision.doctor.site import Site
from pivision.store import Store
from tests import needs
from tests.unit.conftest import new_task

ROOT_ONLY = needs.mark("root")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data and a log folder with something in them, which the settings name."""
    data, logs = tmp_path / "data", tmp_path / "logs"
    for folder in (data, data / "images", data / "secrets", logs):
        folder.mkdir(mode=0o700)
    for file in (data / "images" / "1", data / "secrets" / "token", logs / "server.log"):
        file.touch(mode=0o600)
    monkeypatch.setenv("PIVISION_DATA_DIR", str(data))
    monkeypatch.setenv("PIVISION_LOG_DIR", str(logs))
    return data


def only(findings: Findings) -> Finding:
    (found,) = findings
    return found


# Owners and modes


def test_private_folders_are_in_order(data: Path) -> None:
    assert only(storage.data_owner(Site())).state == "ok"
    assert only(storage.data_modes(Site())).state == "ok"


def test_folders_that_are_not_there_yet_are_no_fault(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIVISION_DATA_DIR", str(data / "none"))
    monkeypatch.setenv("PIVISION_LOG_DIR", str(data / "nothing"))
    for check in (storage.data_owner, storage.data_modes, storage.database):
        assert "not there yet" in only(check(Site())).seen


@pytest.mark.parametrize(
    ("path", "mode", "mended"),
    [
        (".", 0o755, 0o700),
        ("images", 0o750, 0o700),
        ("secrets/token", 0o640, 0o600),
        ("secrets/token", 0o604, 0o600),
        ("images/1", 0o400, 0o600),
        ("../logs/server.log", 0o666, 0o600),
    ],
)
def test_modes_that_are_too_wide_or_too_narrow_are_found_and_mended(
    data: Path, path: str, mode: int, mended: int
) -> None:
    wrong = (data / path).resolve()
    wrong.chmod(mode)
    found = only(storage.data_modes(Site()))
    assert found.state == "failure"
    assert found.seen.endswith(f": {wrong}")
    assert found.fix is not None
    found.fix()
    assert wrong.stat().st_mode & 0o777 == mended
    assert only(storage.data_modes(Site())).state == "ok"


def test_many_wrong_paths_are_counted(data: Path) -> None:
    for number in range(10):
        (data / "images" / f"wide{number}").touch()
        (data / "images" / f"wide{number}").chmod(0o644)
    assert only(storage.data_modes(Site())).seen.endswith(" and 7 more")


@ROOT_ONLY
def test_what_belongs_to_others_is_found_and_given_back(data: Path) -> None:
    daemon = pwd.getpwnam("daemon")
    os.chown(data / "images" / "1", daemon.pw_uid, daemon.pw_gid)
    os.chown(data / "secrets", daemon.pw_uid, daemon.pw_gid)
    found = only(storage.data_owner(Site()))
    assert found.state == "failure"
    assert set(found.seen.removeprefix("not of root: ").split(", ")) == {f"{data}/secrets", f"{data}/images/1"}
    assert found.fix is not None
    found.fix()
    assert only(storage.data_owner(Site())).state == "ok"


@ROOT_ONLY
def test_the_owner_wanted_is_the_units_user(data: Path, tmp_path: Path) -> None:
    unit = tmp_path / "pivision.service"
    unit.write_text("[Service]\nUser=daemon\n")
    found = only(storage.data_owner(Site(unit_path=unit)))
    assert found.seen.startswith("not of daemon: ")
    assert found.remedy.startswith("sudo chown -R daemon: ")
    assert found.fix is not None
    found.fix()
    assert only(storage.data_owner(Site(unit_path=unit))).state == "ok"
    assert (data / "images" / "1").owner() == "daemon"


@ROOT_ONLY
def test_links_out_of_the_folder_are_not_followed(data: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "file").touch()
    (outside / "file").chmod(0o644)
    daemon = pwd.getpwnam("daemon")
    os.chown(outside / "file", daemon.pw_uid, daemon.pw_gid)
    (data / "images" / "link").symlink_to(outside / "file")
    (data / "images" / "folder").symlink_to(outside)
    (data / "images" / "1").chmod(0o644)
    modes, owner = only(storage.data_modes(Site())), only(storage.data_owner(Site()))
    assert owner.state == "ok"
    assert modes.fix is not None
    modes.fix()
    assert (outside / "file").stat().st_mode & 0o777 == 0o644
    assert (outside / "file").owner() == "daemon"


@ROOT_ONLY
def test_what_another_user_may_not_see_is_said_to_be_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        data = Path(folder, "data")
        data.mkdir(mode=0o700)
        monkeypatch.setenv("PIVISION_DATA_DIR", str(data))
        site = Site()
        assert site.settings.data_dir == data
        child = os.fork()
        if child == 0:
            os.setresuid(nobody.pw_uid, nobody.pw_uid, nobody.pw_uid)
            checks = (storage.data_owner, storage.data_modes, storage.database, storage.filesystem)
            lines = doctor.examine(site, checks)
            os._exit(0 if all(line.finding.state == "warning" and "only" in line.finding.seen for line in lines) else 1)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


# The database


@pytest.fixture
def database(data: Path) -> Path:
    """A database with some hundred tasks, in several pages."""
    store = Store(data / "pivision.db", timeout_seconds=5)
    for number in range(300):
        store.add(new_task(f"{number:064x}"))
    with contextlib.closing(apsw.Connection(str(data / "pivision.db"))) as connection:
        connection.pragma("wal_checkpoint(TRUNCATE)")
    return data / "pivision.db"


def test_a_database_in_use_is_in_order_and_goes_on(database: Path) -> None:
    store = Store(database, timeout_seconds=1)
    store.add(new_task("e" * 64))
    before = database.read_bytes()
    assert only(storage.database(Site())).state == "ok"
    assert database.read_bytes() == before
    assert store.add(new_task("f" * 64))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda file: os.truncate(file, 0), "not a PiVision database"),
        (lambda file: os.truncate(file, 8192), ""),
        (lambda file: file.write_bytes(b"no database at all" * 1000), "not a database"),
        (lambda file: overwrite(file, 100, b"\xff" * 40_000), ""),
        (lambda file: overwrite(file, 68, b"\0\0\0\1"), "not a PiVision database"),
    ],
    ids=["zero bytes", "truncated", "text", "overwritten", "foreign"],
)
def test_a_damaged_database_is_found(database: Path, damage: Callable[[Path], object], said: str) -> None:
    damage(database)
    found = only(storage.database(Site()))
    assert found.state == "failure"
    assert found.seen.startswith(f"{database}: ")
    assert said in found.seen
    assert found.fix is None, "what holds the tasks is never mended by the way"


def test_a_database_that_is_locked_is_not_said_to_be_damaged(database: Path) -> None:
    with contextlib.closing(apsw.Connection(str(database))) as connection:
        connection.pragma("locking_mode", "EXCLUSIVE")
        connection.execute("BEGIN IMMEDIATE; UPDATE task SET source = 'held'")
        found = only(storage.database(Site()))
    assert (found.state, found.seen) == ("warning", "not checked: database is locked")


def overwrite(file: Path, offset: int, content: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(offset)
        opened.write(content)


# The disk


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A disk of its own at `folder`."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, timeout=30)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True, timeout=30)


def test_a_disk_with_room_is_in_order(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIVISION_DISK_RESERVE_BYTES", "1000")
    assert [found.state for found in storage.free_space(Site())] == ["ok"]
    assert only(storage.filesystem(Site())).state == "ok"


@ROOT_ONLY
@pytest.mark.parametrize(("used_mib", "state"), [(0, "ok"), (5, "warning"), (7, "failure")])
def test_free_space_is_held_against_the_reserve(
    data: Path, monkeypatch: pytest.MonkeyPatch, used_mib: int, state: str
) -> None:
    monkeypatch.setenv("PIVISION_DISK_RESERVE_BYTES", str(2 << 20))
    with mounted(data, "size=8m"):
        (data / "filler").write_bytes(b"\0" * (used_mib << 20))
        assert [found.state for found in storage.free_space(Site())] == [state]


@ROOT_ONLY
def test_a_lack_of_inodes_is_found(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIVISION_DISK_RESERVE_BYTES", "0")
    with mounted(data, "size=8m,nr_inodes=50"):
        assert [found.state for found in storage.free_space(Site())] == ["ok", "failure"]


@ROOT_ONLY
def test_a_filesystem_mounted_read_only_is_found(data: Path) -> None:
    with mounted(data, "ro"):
        found = only(storage.filesystem(Site()))
    assert found.state == "failure"
    assert "mounted read-only" in found.seen


@ROOT_ONLY
def test_a_filesystem_without_nameless_files_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIVISION_DATA_DIR", "/proc")
    found = only(storage.filesystem(Site()))
    assert found.state == "failure"
    assert "has no O_TMPFILE" in found.seen
