"""Image files: received, kept, removed, on a real folder; with processes that are killed in between."""

import contextlib
import fcntl
import hashlib
import io
import multiprocessing
import os
import resource
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from pivision.errors import ImageEmpty, ImageLost, PiVisionError, StorageFull, UploadTooLarge
from pivision.images import Images
from pivision.store import Store
from tests.unit.conftest import EVERYTHING, new_task

SPAWN = multiprocessing.get_context("spawn")
PATIENCE_SECONDS = 60
LIMIT = 2_000_000
CONTENT = bytes(range(256)) * 2500  # more than two chunks
PREVIEW = b"\xff\xd8 a small picture \xff\xd9"


def files(images: Images) -> set[str]:
    """Every file below the folder."""
    return {path.name for path in images._folder.rglob("*") if path.is_file()}


def keep(images: Images, content: bytes) -> str:
    with images.receive(io.BytesIO(content), LIMIT) as image, image.kept():
        return image.sha256


@pytest.mark.parametrize("content", [b"x", CONTENT, b"\0" * LIMIT])
def test_what_was_kept_is_read_back_under_its_sha256(images: Images, content: bytes) -> None:
    sha256 = hashlib.sha256(content).hexdigest()
    with images.receive(io.BytesIO(content), LIMIT) as image:
        assert (image.sha256, image.size_bytes) == (sha256, len(content))
        with image.bytes() as mapped:
            assert bytes(mapped) == content
        assert files(images) == set()
        with image.kept():
            assert images.read(sha256) == content
    assert images.read(sha256) == content
    assert images.path(sha256).read_bytes() == content
    assert files(images) == {sha256}
    assert images.path(sha256).stat().st_mode & 0o777 == 0o600


def test_a_preview_lies_beside_its_image_and_goes_with_it(images: Images) -> None:
    sha256 = keep(images, CONTENT)
    assert images.preview(sha256) is None
    for jpeg in (PREVIEW, PREVIEW.replace(b"small", b"other")):
        images.keep_preview(sha256, jpeg)
        assert images.preview(sha256) == jpeg
    assert (images.names(), images.read(sha256)) == ({sha256}, CONTENT)
    images.remove_unreferenced({sha256}, lambda _: True)
    assert images.preview(sha256) is not None
    images.remove_unreferenced({sha256}, lambda _: False)
    assert files(images) == set()


def test_a_preview_whose_image_is_gone_is_found_and_removed(images: Images) -> None:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    images.keep_preview(sha256, PREVIEW)
    assert (images.names(), images.shard(int(sha256[:2], 16))) == (set(), {sha256})
    images.remove_unreferenced({sha256}, lambda _: False)
    assert files(images) == set()


@pytest.mark.parametrize("left", [b"", PREVIEW[:-1], bytes(len(PREVIEW)), PREVIEW[:9] + bytes(9)])
def test_what_a_pulled_plug_has_left_of_a_preview_is_none(images: Images, left: bytes) -> None:
    sha256 = keep(images, CONTENT)
    images.keep_preview(sha256, left)
    assert images.preview(sha256) is None


def test_without_room_there_is_no_preview_and_no_error(tmp_path: Path) -> None:
    images = Images(tmp_path / "images", reserve_bytes=1 << 62)
    images.keep_preview("0" * 64, PREVIEW)
    assert files(images) == set()


def test_the_same_picture_twice_is_one_file(images: Images) -> None:
    assert keep(images, CONTENT) == keep(images, CONTENT)
    with images.receive(io.BytesIO(CONTENT), LIMIT) as one, images.receive(io.BytesIO(CONTENT), LIMIT) as other:
        with one.kept(), other.kept():
            assert len(files(images)) == 1


@pytest.mark.parametrize(
    ("content", "limit", "error"),
    [(b"", LIMIT, ImageEmpty), (b"abc", 2, UploadTooLarge), (CONTENT, len(CONTENT) - 1, UploadTooLarge)],
)
def test_what_is_refused_leaves_nothing(images: Images, content: bytes, limit: int, error: type[PiVisionError]) -> None:
    with pytest.raises(error):
        with images.receive(io.BytesIO(content), limit):
            pytest.fail("it was taken")
    assert files(images) == set()


def test_the_limit_itself_is_allowed(images: Images) -> None:
    with images.receive(io.BytesIO(CONTENT), len(CONTENT)) as image:
        assert image.size_bytes == len(CONTENT)


def test_what_is_not_kept_is_gone(images: Images) -> None:
    with images.receive(io.BytesIO(CONTENT), LIMIT):
        pass
    with pytest.raises(KeyError):
        with images.receive(io.BytesIO(CONTENT), LIMIT):
            raise KeyError
    assert files(images) == set()


class Interrupted(io.BytesIO):
    """A client that hangs up in the middle."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 300_000:
            raise ConnectionResetError
        return super().read(size)


def test_an_upload_that_breaks_off_leaves_nothing(images: Images) -> None:
    with pytest.raises(ConnectionResetError):
        with images.receive(Interrupted(CONTENT), LIMIT):
            pytest.fail("it was taken")
    assert files(images) == set()


def receive_and_hang(folder: Path, stage: str, reached: Connection) -> None:
    images = Images(folder, 0)
    with images.receive(io.BytesIO(CONTENT), LIMIT) as image, contextlib.ExitStack() as stack:
        if stage == "kept":
            stack.enter_context(image.kept())
        reached.send(image.sha256)
        threading.Event().wait(PATIENCE_SECONDS)


@pytest.mark.parametrize("stage", ["received", "kept"])
def test_a_process_killed_in_between_leaves_all_or_nothing(images: Images, stage: str) -> None:
    reader, writer = SPAWN.Pipe(duplex=False)
    with reader, writer:
        process = SPAWN.Process(target=receive_and_hang, args=(images._folder, stage, writer))
        process.start()
        assert reader.poll(PATIENCE_SECONDS)
        sha256 = reader.recv()
        process.kill()
        process.join()
        process.close()
    assert files(images) == ({sha256} if stage == "kept" else set())
    if stage == "kept":
        assert images.read(sha256) == CONTENT
        images.remove_unreferenced({sha256}, lambda _: False)  # its lock went with it
        assert files(images) == set()


def receive_with_little_room(folder: Path, room_bytes: int, outcome: Connection) -> None:
    images = Images(folder, 0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, room_bytes))  # as a full disk: part of a write succeeds
    try:
        keep(images, CONTENT)
        outcome.send("kept")
    except StorageFull:
        outcome.send("storage full")


@pytest.mark.parametrize("room_bytes", [1, 262_144, 300_000, len(CONTENT) - 1, len(CONTENT)])
def test_a_disk_that_fills_up_within_a_write_is_noticed(images: Images, room_bytes: int) -> None:
    reader, writer = SPAWN.Pipe(duplex=False)
    with reader, writer:
        process = SPAWN.Process(target=receive_with_little_room, args=(images._folder, room_bytes, writer))
        process.start()
        assert reader.poll(PATIENCE_SECONDS)
        outcome = reader.recv()
        process.join()
        process.close()
    assert outcome == ("kept" if room_bytes == len(CONTENT) else "storage full")
    for sha256 in files(images):
        assert hashlib.sha256(images.path(sha256).read_bytes()).hexdigest() == sha256


@pytest.mark.parametrize("sha256", ["0" * 64, "f" * 64])
def test_a_missing_image_is_lost(images: Images, sha256: str) -> None:
    with pytest.raises(ImageLost):
        images.read(sha256)
    images.remove_unreferenced({sha256}, lambda _: False)


def test_removal_asks_and_spares_what_is_referenced(images: Images) -> None:
    kept, gone = keep(images, b"kept"), keep(images, b"gone")
    images.remove_unreferenced({kept, gone}, lambda sha256: sha256 == kept)
    assert files(images) == {kept}


def test_removal_spares_an_image_whose_row_is_just_being_made(images: Images) -> None:
    with images.receive(io.BytesIO(CONTENT), LIMIT) as image, image.kept():
        images.remove_unreferenced({image.sha256}, lambda _: False)
        assert images.read(image.sha256) == CONTENT
    images.remove_unreferenced({image.sha256}, lambda _: False)
    assert files(images) == set()


def test_nobody_keeps_an_image_between_the_question_and_its_removal(images: Images) -> None:
    sha256 = keep(images, CONTENT)
    refused: list[bool] = []

    def is_referenced(asked: str) -> bool:
        with _opened(images.path(asked).parent) as folder:
            try:
                fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)  # as kept() would
            except BlockingIOError:
                refused.append(True)
        return False

    images.remove_unreferenced({sha256}, is_referenced)
    assert refused == [True]


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_while_one_keeps_and_another_removes_no_row_is_without_its_image(images: Images, store: Store) -> None:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    stop = threading.Event()

    def remove() -> None:
        while not stop.is_set():
            images.remove_unreferenced({sha256}, store.is_image_referenced)

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        for _ in range(60):
            with images.receive(io.BytesIO(CONTENT), LIMIT) as image, image.kept():
                task, _ = store.add(new_task(image.sha256))
            assert images.read(sha256) == CONTENT
            store.cancel(task.id)
            store.remove_oldest(EVERYTHING, 1, kept=0)
    finally:
        stop.set()
        remover.join()


def test_the_reserve_is_not_touched(images: Images, tmp_path: Path) -> None:
    full = Images(tmp_path / "full", reserve_bytes=images.disk.free_bytes() + (1 << 40))
    with pytest.raises(StorageFull, match="disk_reserve_bytes"):
        full.disk.require_room(0)
    with pytest.raises(StorageFull):
        with full.receive(io.BytesIO(b"x"), LIMIT):
            pytest.fail("it was taken")
    assert files(full) == set()
    images.disk.require_room(0)
    with pytest.raises(StorageFull):
        images.disk.require_room(images.disk.free_bytes() + (1 << 40))


def test_shards_share_out_all_images(images: Images) -> None:
    shas = {keep(images, bytes([number])) for number in range(20)}
    assert set().union(*(images.shard(number) for number in range(256))) == shas
