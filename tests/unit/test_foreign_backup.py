"""A backup from elsewhere is data of a stranger: what it may do to a box, and what of it is left out."""

import bz2
import contextlib
import gzip
import hashlib
import io
import json
import logging
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from pivision import archive
from pivision.config import Settings
from pivision.errors import BackupInvalid, ImageLost, StorageFull
from pivision.images import Images
from pivision.store import Store, schema, soundness
from pivision.task import State
from tests.unit.conftest import new_task

GOOD = b"a good picture"
SHA256 = hashlib.sha256(GOOD).hexdigest()
OTHER = "b" * 64
DRAWN: dict[str, object] = {"milliseconds": 1.5, "sha256": OTHER, "size_bytes": 10, "labels": []}
RESULT = {"annotate": DRAWN}


def settings(folder: Path, reserve_bytes: int = 0) -> Settings:
    return Settings(
        data_dir=folder / "data", log_dir=folder / "l", run_dir=folder / "r", disk_reserve_bytes=reserve_bytes
    )


@pytest.fixture
def box(tmp_path: Path) -> Settings:
    """A box with one task of its own."""
    mine = settings(tmp_path / "box")
    Images(mine.images_dir, 0)
    Store(mine.database).add(new_task())
    return mine


def path_name(target: str) -> str:
    """64 characters that lead from images/.. to a file, as a row of the third schema may hold them."""
    up = "../../../../../../"
    return up + "/" * (64 - len(up) - len(target)) + target


Change = Callable[[apsw.Connection], object]


def foreign_database(file: Path, change: Change, version: int = 3) -> Path:
    """A database with two tasks that are in order, changed by a stranger who minds no check."""
    with contextlib.closing(apsw.Connection(str(file))) as raw:
        raw.pragma("application_id", schema.APPLICATION_ID)
        schema.apply(raw, 0, version)
        for task_id in (1, 2):
            raw.execute(
                "INSERT INTO task (id, state, operations, image_sha256, image_format, image_width_px, image_height_px, "
                "image_size_bytes, attempt, result, created_at, finished_at, finished_running_seconds) "
                "VALUES (?, 'done', ?, ?, 'jpeg', 640, 480, ?, 1, ?, ?, ?, 5)",
                (
                    task_id,
                    '[{"name":"annotate","params":{}}]',
                    SHA256,
                    len(GOOD),
                    json.dumps(RESULT),
                    "2026-01-01T00:00:00.000Z",
                    "2026-01-01T00:00:01.000Z",
                ),
            )
        raw.pragma("ignore_check_constraints", True)
        change(raw)
    return file


def backup(file: Path, database: Path, *more: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(file, "w") as tar:
        tar.add(database, "pivision.db")
        for name, content in ((f"images/{SHA256[:2]}/{SHA256}", GOOD),):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member, content in more:
            tar.addfile(member, io.BytesIO(content))
    return file


def sets(column: str, value: Any) -> Change:
    return lambda raw: raw.execute(f"UPDATE task SET {column} = ? WHERE id = 2", (value,))


def result_with(**annotate: object) -> Change:
    return sets("result", json.dumps({"annotate": {**DRAWN, **annotate}}))


LEFT_OUT: dict[str, Change] = {
    "a picture by a path": sets("image_sha256", path_name("etc/passwd")),
    "a picture by 64 characters": sets("image_sha256", "g" * 64),
    "a picture in capitals": sets("image_sha256", SHA256.upper()),
    "a picture with a zero byte": lambda raw: raw.execute(
        "UPDATE task SET image_sha256 = CAST(? || x'00' || '/../../etc/passwd' AS TEXT) WHERE id = 2", (SHA256,)
    ),
    "a drawing by a path": result_with(sha256=path_name("etc/shadow")),
    "a drawing by a number": result_with(sha256=5),
    "a drawing of a negative size": result_with(size_bytes=-1),
    "a picture larger than any": sets("image_size_bytes", 1 << 40),
    "more attempts than can be counted": sets("attempt", (1 << 63) - 1),
    "an id beyond all": sets("id", 1 << 60),
    "a negative id": sets("id", -5),
    "a width beyond all": sets("image_width_px", 1 << 62),
    "another format": sets("image_format", "exe"),
    "another state": sets("state", "owned"),
    "an end beyond all times": sets("finished_running_seconds", 1 << 62),
    "operations that are no list": sets("operations", '{"name": "codes"}'),
    "operations that are no objects": sets("operations", '["codes"]'),
    "operations nested without end": sets("operations", "[" * 900 + "]" * 900),
    "a result that is no object": sets("result", "[1]"),
    "a result whose times are no numbers": sets("result", '{"codes": {"milliseconds": "x"}}'),
    "a source of a megabyte": sets("source", "x" * 1_000_000),
    "a text that is none": lambda raw: raw.execute("UPDATE task SET source = CAST(x'ff' AS TEXT) WHERE id = 2"),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_a_row_that_no_task_can_be_is_left_out(
    box: Settings, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = backup(tmp_path / "b.tar", foreign_database(tmp_path / "f.db", LEFT_OUT[kind]))
    try:
        with caplog.at_level(logging.WARNING):
            archive.restore(box, file)
    except BackupInvalid:
        assert kind in ("another format", "another state", "a drawing by a number"), "its own checks tell: damaged"
        assert Store(box.database).get(1).image.sha256 == "a" * 64
        return
    assert soundness.fault(box.database) is None
    store = Store(box.database)
    assert [task.id for task in store.page(10)] == [1]
    assert store.get(1).image.sha256 == SHA256
    assert "1 tasks of the backup" in caplog.text
    assert store.statistics.counts_by_operation() == {(State.DONE, "annotate"): 1}
    assert store.add(new_task())[0].id > 1


def test_a_backup_of_this_schema_with_such_rows_is_refused(box: Settings, tmp_path: Path) -> None:
    for number, kind in enumerate(("a picture by a path", "a drawing by a path")):
        database = foreign_database(tmp_path / f"{number}.db", LEFT_OUT[kind], schema.newest())
        with pytest.raises(BackupInvalid):
            archive.restore(box, backup(tmp_path / "b.tar", database))


STATEMENTS = {
    "a trigger": "CREATE TRIGGER t AFTER UPDATE ON task BEGIN DELETE FROM task; END",
    "a view": "CREATE VIEW v AS SELECT * FROM task",
    "another table": "CREATE TABLE more (x)",
    "an index with an expression": "CREATE INDEX i ON task (length(hex(zeroblob(1000))))",
    "a virtual table": "CREATE VIRTUAL TABLE v USING fts5(x)",
    "a table renamed to a view": "ALTER TABLE task RENAME TO task2; CREATE VIEW task AS SELECT * FROM task2",
}


@pytest.mark.parametrize("kind", STATEMENTS)
def test_a_schema_that_is_not_ours_to_the_letter_is_refused(box: Settings, tmp_path: Path, kind: str) -> None:
    database = foreign_database(tmp_path / "f.db", lambda raw: raw.execute(STATEMENTS[kind]))
    with pytest.raises(BackupInvalid, match="tables are not those"):
        archive.restore(box, backup(tmp_path / "b.tar", database))
    assert Store(box.database).get(1).image.sha256 == "a" * 64


def test_a_clock_and_a_sequence_beyond_all_stop_nothing(box: Settings, tmp_path: Path) -> None:
    def change(raw: apsw.Connection) -> None:
        raw.execute("UPDATE appliance_clock SET running_seconds = 9223372036854775000, boottime_seconds = -7")
        raw.execute("UPDATE sqlite_sequence SET seq = 9223372036854775807")

    archive.restore(box, backup(tmp_path / "b.tar", foreign_database(tmp_path / "f.db", change)))
    store = Store(box.database)
    store.tick("this boot", 1000)
    assert store.fingerprint().running_seconds < 1 << 40
    assert store.add(new_task())[0].id == 3
    assert store.remove_expired(30 * 86400, 10) == set()


def test_the_size_of_a_picture_is_that_of_its_file(box: Settings, tmp_path: Path) -> None:
    database = foreign_database(tmp_path / "f.db", sets("image_size_bytes", 1 << 30))
    archive.restore(box, backup(tmp_path / "b.tar", database))
    assert [task.image.size_bytes for task in Store(box.database).page(10)] == [len(GOOD)] * 2


def test_nothing_but_a_hash_becomes_a_path(tmp_path: Path) -> None:
    """Seen: a crafted backup made the box serve, archive and then delete any file that its user could read."""
    images = Images(tmp_path / "data" / "images", reserve_bytes=0)
    secret = tmp_path / "secret"
    secret.write_text("mine")
    (tmp_path / "data" / "images" / ".." / "x").write_text("mine, too")
    for name in (path_name(str(secret).lstrip("/")), "../../../secret", "../x", "..", "", "/etc/passwd", SHA256 + "\0"):
        with pytest.raises(ImageLost):
            images.read(name)
        with pytest.raises(ImageLost):
            images.open(name)
        with pytest.raises(ImageLost):
            images.preview(name)
        with pytest.raises(ImageLost):
            images.keep_preview(name, b"jpeg")
        assert images.remove_unreferenced({name}, lambda _: False) == 0
    assert secret.read_text() == "mine"
    link = images.path(SHA256)
    link.symlink_to(secret)
    with pytest.raises(ImageLost):
        images.read(SHA256)


def test_a_database_with_such_rows_loses_them_when_it_is_brought_up(tmp_path: Path) -> None:
    file = foreign_database(tmp_path / "pivision.db", LEFT_OUT["a picture by a path"])
    store = Store(file)
    assert [task.id for task in store.page(10)] == [1]
    assert soundness.fault(file) is None


COLUMNS: dict[str, list[str | int]] = {
    "image_sha256": [path_name("etc/passwd"), "g" * 64, "A" * 64, "a" * 63 + "/", "a" * 64 + "\0b"],
    "result": [json.dumps({"annotate": {"sha256": path_name("etc/passwd")}})],
    "image_size_bytes": [1 << 31],
    "attempt": [1 << 62],
    "id": [0, -1, 1 << 60],
    "behind_id": [0],
    "overruns": [-1],
}


@pytest.mark.parametrize(("column", "value"), [(name, value) for name, values in COLUMNS.items() for value in values])
def test_the_table_keeps_such_rows_out(store: Store, column: str, value: Any) -> None:
    store.add(new_task())
    task = store.claim(1)
    assert task is not None
    assert store.finish(task, b"{}")
    with contextlib.closing(apsw.Connection(str(store.file))) as raw:
        with pytest.raises(apsw.ConstraintError):
            raw.execute(f"UPDATE task SET {column} = ?", (value,))


# Archives


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info


IMAGE = f"images/{OTHER[:2]}/{OTHER}"


def extended(keys: dict[str, str]) -> tarfile.TarInfo:
    info = member(IMAGE)
    info.pax_headers = keys
    return info


MEMBERS: dict[str, tuple[tarfile.TarInfo, bytes]] = {
    "a sparse file": (member(IMAGE, tarfile.GNUTYPE_SPARSE), b""),
    "a sparse file by an extended header": (
        extended({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "999999999999"}),
        b"",
    ),
    "another name by an extended header": (extended({"path": "../../evil"}), b""),
    "an extended header without an end": (extended({"comment": "x" * 100_000}), b""),
    "an extended header for all": (member("x", tarfile.XGLTYPE), b""),
    "a long name": (member("images/" + "a" * 5000), b""),
    "a pipe": (member(IMAGE, tarfile.FIFOTYPE), b""),
    "a block device": (member(IMAGE, tarfile.BLKTYPE), b""),
    "a link upwards": (member(IMAGE, tarfile.SYMTYPE, link="../../../../etc/passwd"), b""),
    "a folder": (member("images", tarfile.DIRTYPE), b""),
    "a continuous file": (member(IMAGE, tarfile.CONTTYPE), b""),
    "the same picture twice": (member(f"images/{SHA256[:2]}/{SHA256}", size=len(GOOD)), GOOD),
    "two databases": (member("pivision.db", size=3), b"abc"),
    "a file by a name of the unpacking": (member("foreign.db", size=3), b"abc"),
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return foreign_database(tmp_path / "f.db", lambda raw: None)


def assert_refused(box: Settings, file: Path, error: type[Exception] = BackupInvalid) -> None:
    with pytest.raises(error):
        archive.restore(box, file)
    assert Store(box.database).get(1).image.sha256 == "a" * 64
    assert not (box.data_dir / "restoring").exists()
    assert not (box.data_dir / "replaced").exists()


@pytest.mark.parametrize("kind", MEMBERS)
def test_an_archive_with_what_is_in_no_backup_is_refused(
    box: Settings, tmp_path: Path, database: Path, kind: str
) -> None:
    assert_refused(box, backup(tmp_path / "b.tar", database, MEMBERS[kind]))


@pytest.mark.parametrize("module", [gzip, bz2, lzma], ids=["gz", "bz2", "xz"])
def test_a_compressed_archive_is_refused(box: Settings, tmp_path: Path, database: Path, module: object) -> None:
    file = backup(tmp_path / "b.tar", database)
    file.write_bytes(module.compress(file.read_bytes()))  # type: ignore[attr-defined]
    with pytest.raises(BackupInvalid, match="compressed"):
        archive.restore(box, file)


def test_a_member_longer_than_the_file_is_refused(box: Settings, tmp_path: Path, database: Path) -> None:
    file = backup(tmp_path / "b.tar", database)
    content = bytearray(file.read_bytes())
    at = content.index(f"images/{SHA256[:2]}".encode())
    header = tarfile.TarInfo.frombuf(bytes(content[at : at + 512]), "utf-8", "strict")
    for size in (10 << 30, 10 << 40, -512):
        header.size = size
        content[at : at + 512] = header.tobuf(tarfile.GNU_FORMAT)[:512]
        file.write_bytes(content)
        assert_refused(box, file)


def test_an_archive_for_which_there_is_no_room_is_refused_before_it_is_read(
    box: Settings, tmp_path: Path, database: Path
) -> None:
    file = backup(tmp_path / "b.tar", database)
    os.truncate(file, 1 << 42)  # sparse: it says more than it takes here
    assert_refused(box, file, StorageFull)


def test_the_reserve_is_kept_while_an_archive_is_unpacked(tmp_path: Path, database: Path) -> None:
    file = backup(tmp_path / "b.tar", database)
    full = settings(tmp_path / "full", reserve_bytes=1 << 50)
    with pytest.raises(StorageFull):
        archive.restore(full, file)
    assert not full.database.exists()


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a device"])
def test_what_is_no_file_is_refused_at_once(box: Settings, tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source"
    if kind == "a pipe":
        os.mkfifo(source)
    elif kind == "a folder":
        source.mkdir()
    assert_refused(box, source if kind != "a device" else Path("/dev/zero"))


def test_a_backup_of_an_earlier_version_with_the_times_of_its_files_is_restored(
    box: Settings, tmp_path: Path, database: Path
) -> None:
    file = backup(tmp_path / "b.tar", database)
    with tarfile.open(file) as tar:
        assert any("mtime" in each.pax_headers for each in tar)
    archive.restore(box, file)
    assert [task.image.sha256 for task in Store(box.database).page(10)] == [SHA256] * 2
    assert Images(box.images_dir, 0).read(SHA256) == GOOD
