"""What the operation annotate has drawn: an image like any other, there for as long as its task is."""

import contextlib
import hashlib
import io
import tarfile
from pathlib import Path

import apsw
import msgspec
import pytest

from pivision import archive
from pivision.config import Settings
from pivision.images import Images
from pivision.retention import Retention
from pivision.store import Store
from pivision.task import State
from tests.unit.conftest import EVERYTHING, NO_QUOTA, new_task
from tests.unit.damage import Remains
from tests.unit.test_store import claimed, in_state

PICTURE, DRAWING = b"a picture", b"what was drawn on it"
SHA256 = hashlib.sha256(DRAWING).hexdigest()
ALL = 1000


def drawn(store: Store, images: Images, drawing: bytes = DRAWING, picture: bytes = PICTURE) -> int:
    """A task that is done, with its picture and its drawing on the disk, as a worker makes it."""
    with images.receive(io.BytesIO(picture), 100) as image, image.kept():
        task, _ = store.add(new_task(image.sha256))
    task = claimed(store)
    with images.kept(drawing) as sha256:
        result = {"annotate": {"milliseconds": 1.5, "sha256": sha256, "size_bytes": len(drawing)}}
        assert store.finish(task, msgspec.json.encode(result))
    return task.id


def test_a_drawing_is_referenced_while_its_task_is_there(store: Store, images: Images) -> None:
    first, second = drawn(store, images), drawn(store, images, picture=b"another")
    assert images.read(SHA256) == DRAWING
    assert store.is_image_referenced(SHA256)
    assert SHA256 in store.remove_oldest(EVERYTHING, 1, kept=0)
    assert store.get(second).id != first
    assert store.is_image_referenced(SHA256), "the other has the same"
    store.tick("a boot", 100)
    assert SHA256 in store.remove_expired(100, ALL)
    assert not store.is_image_referenced(SHA256)


def test_a_result_without_a_drawing_has_none(store: Store) -> None:
    for result in (b'{"annotate":{"error":{"code":"operation-failed","detail":"no"}}}', b"[1]", b"1", b'{"codes":{}}'):
        store.add(new_task())
        assert store.finish(claimed(store), result)
    assert store.remove_oldest(EVERYTHING, ALL, kept=0) == {"a" * 64}


@pytest.mark.parametrize("sha256", ['"short"', "5", "{}", '"../../../etc/passwd"'])
def test_what_names_no_image_is_not_taken_for_a_drawing(store: Store, sha256: str) -> None:
    store.add(new_task())
    with pytest.raises(apsw.ConstraintError):
        store.finish(claimed(store), b'{"annotate":{"sha256":%s}}' % sha256.encode())
    assert store.get(1).state is State.RUNNING


def test_a_removed_task_takes_its_drawing_along(store: Store, images: Images) -> None:
    drawn(store, images)
    Retention(store, images, max_age_days=1e-6 / 86400, max_bytes=NO_QUOTA).step()
    assert images.names() == set()


def test_a_drawing_stays_however_often_one_looks(store: Store, images: Images) -> None:
    drawn(store, images)
    retention = Retention(store, images, max_age_days=36_500, max_bytes=NO_QUOTA)
    for _ in range(257):
        retention.step()
    assert images.read(SHA256) == DRAWING


def test_a_drawing_is_protected_before_its_task_is_finished(store: Store, images: Images) -> None:
    with images.kept(DRAWING) as sha256:
        images.remove_unreferenced({sha256}, store.is_image_referenced)
        assert images.read(sha256) == DRAWING
    images.remove_unreferenced({sha256}, store.is_image_referenced)
    assert images.names() == set(), "its task was never finished"


def test_a_retried_task_lets_go_of_its_drawing(store: Store, images: Images) -> None:
    drawn(store, images)
    with contextlib.closing(apsw.Connection(str(store.file))) as raw:
        raw.execute("UPDATE task SET state = 'failed', error_code = 'x', error_detail = 'y'")
    store.retry(1)
    assert not store.is_image_referenced(SHA256)


def test_a_backup_takes_the_drawings_along(tmp_path: Path) -> None:
    box, other = (
        Settings(
            data_dir=tmp_path / name / "data", log_dir=tmp_path / "l", run_dir=tmp_path / "r", disk_reserve_bytes=0
        )
        for name in ("box", "other")
    )
    drawn(Store(box.database), Images(box.images_dir, reserve_bytes=0))
    file = tmp_path / "backup.tar"
    assert archive.back_up(box, file) == (1, 2)
    with tarfile.open(file) as tar:
        assert f"images/{SHA256[:2]}/{SHA256}" in tar.getnames()
    archive.restore(other, file)
    images = Images(other.images_dir, reserve_bytes=0)
    assert images.read(SHA256) == DRAWING
    Retention(Store(other.database), images, max_age_days=36_500, max_bytes=NO_QUOTA).step()
    assert len(images.names()) == 2


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_recovery_knows_drawings_and_quarantines_nothing_for_one(tmp_path: Path, is_lost: bool) -> None:
    data = tmp_path / "data"
    store, images = Store(data / "pivision.db"), Images(data / "images", reserve_bytes=0)
    task_id = drawn(store, images)
    del store
    if is_lost:
        images.path(SHA256).unlink()
    with contextlib.closing(apsw.Connection(str(data / "pivision.db"))) as raw:
        raw.pragma("application_id", 0)
    report = Remains(data, {}, {}).recover()
    assert report
    assert (report.quarantined, report.not_recovered, report.images_without_task) == (0, 0, 0)
    assert Store(data / "pivision.db").get(task_id).state is State.DONE
    assert Store(data / "pivision.db").is_image_referenced(SHA256)


def test_a_damaged_result_hides_no_row_behind_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    store, images = Store(data / "pivision.db"), Images(data / "images", reserve_bytes=0)
    ids = [drawn(store, images, b"drawing %d" % number) for number in range(5)]
    del store
    with contextlib.closing(apsw.Connection(str(data / "pivision.db"))) as raw:
        raw.execute("PRAGMA ignore_check_constraints = ON")
        raw.execute("UPDATE task SET result = '{\"annotate\":' WHERE id = 2")
    (data / "requests.jsonl").unlink()
    report = Remains(data, {}, {}).recover()
    assert report
    assert (report.tasks["database"], report.not_recovered) == (4, 1)
    assert {task.id for task in Store(data / "pivision.db").page(10)} == set(ids) - {2}


# And the task before, from the same source.


def test_previous_is_the_newest_before_it_from_the_same_source(store: Store) -> None:
    sources = ["door", "garden", "door", None, "door", None]
    tasks = [store.add(new_task(source=source))[0] for source in sources]
    assert [(before.id if (before := store.previous(task)) else None) for task in tasks] == [
        None,
        None,
        1,
        None,
        3,
        None,
    ]


@pytest.mark.parametrize("state", State)
def test_previous_may_be_in_whatever_state(store: Store, state: State) -> None:
    before = in_state(store, state)
    with contextlib.closing(apsw.Connection(str(store.file))) as raw:
        raw.execute("UPDATE task SET source = 'door'")
    task, _ = store.add(new_task(source="door"))
    assert store.previous(task) == msgspec.structs.replace(before, source="door")
