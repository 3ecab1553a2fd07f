"""Backups in one file: what is in them, what is refused, and that nothing is ever overwritten or deleted."""

import contextlib
import fcntl
import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from pivision import archive, tokens
from pivision.config import Settings
from pivision.errors import ApplianceRunning, BackupInvalid, BackupNotWritten, DatabaseUnusable
from pivision.images import Images
from pivision.store import Store, backup, gate
from pivision.store.backup import Backups
from tests.unit.conftest import new_task

PICTURES = {hashlib.sha256(content).hexdigest(): content for content in (b"one", b"two", b"three")}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A box with three tasks and a token."""
    return box(tmp_path / "box")


def box(folder: Path) -> Settings:
    settings = Settings(data_dir=folder / "data", log_dir=folder / "logs", run_dir=folder / "run", disk_reserve_bytes=0)
    images = Images(settings.images_dir, reserve_bytes=0)
    store = Store(settings.database)
    for sha256, content in PICTURES.items():
        images.path(sha256).write_bytes(content)
        store.add(new_task(sha256))
    images.path("f" * 64).write_bytes(b"of no task")
    tokens.create(settings.secrets_dir, "mine")
    return settings


def names(file: Path) -> set[str]:
    with tarfile.open(file) as tar:
        return set(tar.getnames())


def packed(file: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(file, "w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file


def repacked(settings: Settings, file: Path, name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> Path:
    """A good backup with one member more."""
    good = file.with_suffix(".good")
    archive.back_up(settings, good)
    with tarfile.open(good) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar if member.name != name]  # type: ignore[union-attr]
    more = tarfile.TarInfo(name)
    more.type, more.linkname = kind, "/etc/passwd"
    return packed(file, *members, (more, content))


def state(settings: Settings) -> dict[str, bytes]:
    """Every file of the data folder, but for what SQLite keeps beside an open database, and the lock."""
    kept = (path for path in settings.data_dir.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in kept if path.suffix in (".db", ".jsonl", "")}


def test_a_backup_holds_database_and_pictures_and_no_secret(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    assert archive.back_up(settings, file) == (3, 3)
    assert names(file) == {"pivision.db", *(f"images/{sha256[:2]}/{sha256}" for sha256 in PICTURES)}
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["backup.tar"]
    with tarfile.open(file) as tar:
        assert {(member.uid, member.uname, member.mode) for member in tar} == {(0, "", 0o600)}


def test_a_backup_overwrites_nothing_and_leaves_nothing_when_it_fails(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    file.write_text("mine")
    with pytest.raises(BackupNotWritten):
        archive.back_up(settings, file)
    assert file.read_text() == "mine"
    with pytest.raises(BackupNotWritten):
        archive.back_up(settings, tmp_path / "nowhere" / "backup.tar")
    settings.database.write_bytes(b"")
    with pytest.raises(DatabaseUnusable):
        archive.back_up(settings, tmp_path / "other.tar")
    settings.database.unlink()
    with pytest.raises(DatabaseUnusable):
        archive.back_up(settings, tmp_path / "other.tar")
    assert not settings.database.exists(), "a backup makes no database"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["backup.tar"]


def test_a_restore_brings_all_back_and_moves_what_was_there_aside(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    archive.back_up(settings, file)
    other = box(tmp_path / "other")
    store = Store(other.database)
    Backups(other.data_dir, 3, 3600, 0).make(store)
    last = [store.add(new_task("e" * 64))[0].id for _ in range(5)][-1]
    del store

    replaced = archive.restore(other, file)

    store = Store(other.database)
    assert {task.image.sha256 for task in store.page(10)} == set(PICTURES)
    assert {path.name for path in other.images_dir.rglob("*") if path.is_file()} == set(PICTURES)
    assert store.add(new_task())[0].id > last, "no id is given twice"
    assert backup.databases(other.data_dir / "backups") == [], "backups of another past"
    assert tokens.create(other.secrets_dir, "again")
    assert (other.secrets_dir / "tokens" / "mine").exists(), "tokens stay"
    assert len(Store(replaced / "pivision.db").page(10)) == 8
    assert (replaced / "images" / "ff" / ("f" * 64)).exists()
    assert (replaced / "backups" / "1.db").exists()
    assert not (other.data_dir / "restoring").exists()
    assert archive.restore(other, file) != replaced, "what was moved aside stays there"
    assert (replaced / "pivision.db").exists()


def test_a_restore_on_an_empty_box(settings: Settings, tmp_path: Path) -> None:
    archive.back_up(settings, tmp_path / "backup.tar")
    empty = Settings(data_dir=tmp_path / "new" / "data", log_dir=tmp_path / "l", run_dir=tmp_path / "r")
    archive.restore(empty, tmp_path / "backup.tar")
    assert len(Store(empty.database).page(10)) == 3
    assert empty.data_dir.stat().st_mode & 0o077 == 0


BAD: dict[str, tuple[str, bytes, bytes]] = {
    "a path upwards": ("../../evil", b"x", tarfile.REGTYPE),
    "an absolute path": ("/tmp/evil", b"x", tarfile.REGTYPE),
    "a secret": ("secrets/tokens/mine", b"x", tarfile.REGTYPE),
    "a secret of the right content": (f"secrets/{hashlib.sha256(b'x').hexdigest()}", b"x", tarfile.REGTYPE),
    "a link": ("images/ab/" + "ab" * 32, b"", tarfile.SYMTYPE),
    "a hard link": ("images/ab/" + "ab" * 32, b"", tarfile.LNKTYPE),
    "a device": ("images/ab/" + "ab" * 32, b"", tarfile.CHRTYPE),
    "a folder in place of the database": ("pivision.db", b"", tarfile.DIRTYPE),
    "a picture that is not what its name says": ("images/ab/" + "ab" * 32, b"x", tarfile.REGTYPE),
    "a picture in the wrong folder": ("images/ff/" + "ab" * 32, b"x", tarfile.REGTYPE),
    "a damaged database": ("pivision.db", b"SQLite format 3\0" + bytes(5000), tarfile.REGTYPE),
    "no database": ("pivision.db", b"", tarfile.REGTYPE),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_backup_is_refused_and_changes_nothing(settings: Settings, tmp_path: Path, kind: str) -> None:
    name, content, member_kind = BAD[kind]
    file = repacked(settings, tmp_path / "bad.tar", name, content, member_kind)
    before = state(settings)
    with pytest.raises(BackupInvalid):
        archive.restore(settings, file)
    assert state(settings) == before
    assert not (tmp_path / "evil").exists()
    assert not (settings.data_dir / "replaced").exists()
    assert not (settings.data_dir / "restoring").exists()


@pytest.mark.parametrize("content", [b"", b"no tar", None], ids=["empty", "no tar", "missing"])
def test_a_file_that_is_no_archive_is_refused(settings: Settings, tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "bad.tar").write_bytes(content)
    with pytest.raises(BackupInvalid):
        archive.restore(settings, tmp_path / "bad.tar")
    assert len(Store(settings.database).page(10)) == 3


def test_a_backup_that_was_cut_off_is_refused(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    archive.back_up(settings, file)
    whole = file.read_bytes()
    for size_bytes in (600, len(whole) // 2):
        file.write_bytes(whole[:size_bytes])
        with pytest.raises(BackupInvalid):
            archive.restore(settings, file)


def test_a_database_in_use_is_not_replaced(settings: Settings, tmp_path: Path) -> None:
    archive.back_up(settings, tmp_path / "backup.tar")
    descriptor = os.open(gate.lock_file(settings.database), os.O_RDWR | os.O_CREAT)
    with contextlib.closing(os.fdopen(descriptor)):
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # as every program does that has it open
        with pytest.raises(ApplianceRunning):
            archive.restore(settings, tmp_path / "backup.tar")
        archive.back_up(settings, tmp_path / "meanwhile.tar")
