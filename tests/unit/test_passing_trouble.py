"""Trouble that passes: too many open files, read errors. It says nothing about a file, and costs no task."""

import contextlib
import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from pivision import config, heartbeat, tokens, worker_lock
from pivision.errors import ImageLost, StorageUnavailable, may_pass
from pivision.images import Images
from pivision.models import Models
from pivision.store import Store
from pivision.store.gate import Gate
from tests import needs
from tests.unit.conftest import new_task

CONTENT = b"a picture"


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """As when all descriptors of a process are in use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(OSError) as found:
            os.open("/", os.O_RDONLY)
        assert found.value.errno == errno.EMFILE
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def kept(images: Images) -> str:
    with images.kept(CONTENT) as sha256:
        return sha256


def test_an_image_is_lost_only_when_it_is_not_there(images: Images) -> None:
    sha256 = kept(images)
    with no_more_files():
        for look in (images.read, images.open):
            with pytest.raises(StorageUnavailable):
                look(sha256)
        with pytest.raises(StorageUnavailable), images.kept(CONTENT):
            pytest.fail("it was kept")
        assert images.remove_unreferenced({sha256}, lambda _: False) == 0
        images.keep_preview(sha256, CONTENT)
        assert images.preview(sha256) is None
        with pytest.raises(StorageUnavailable):
            images.names()
    assert images.read(sha256) == CONTENT
    images.path(sha256).unlink()
    with pytest.raises(ImageLost):
        images.read(sha256)


def test_a_token_is_wrong_only_when_it_is_none_of_those_that_are_there(tmp_path: Path) -> None:
    token = tokens.create(tmp_path, "mine")
    with no_more_files():
        with pytest.raises(StorageUnavailable):
            tokens.find(tmp_path, token)
        with pytest.raises(StorageUnavailable):
            tokens.named(tmp_path, "mine")
    assert tokens.find(tmp_path, token)
    assert tokens.find(tmp_path, "wrong") is None
    (tmp_path / "tokens" / "a-folder").mkdir()
    assert tokens.find(tmp_path, "wrong") is None, "a folder is no token"


def test_one_unreadable_token_locks_nobody_else_out(tmp_path: Path) -> None:
    token = tokens.create(tmp_path, "mine")
    (tmp_path / "tokens" / "loop").symlink_to("loop")
    assert tokens.find(tmp_path, token)
    with pytest.raises(StorageUnavailable):
        tokens.find(tmp_path, "perhaps the one in the loop")


def test_the_gate_looks_again_when_it_cannot_look(tmp_path: Path, run_dir: Path) -> None:
    """Seen: 600 begun uploads made all programs end and check the database."""
    file = tmp_path / "pivision.db"
    gate = Gate(file, run_dir, 1)
    store = gate.open(set, lambda: None)
    assert gate._is_checked()
    with no_more_files():
        with pytest.raises(OSError, match="Too many open files"):
            gate._is_checked()
        assert not store.damaged.wait(0)
        store.verify()
    assert gate._is_checked()
    (run_dir / "database.checked").unlink()
    assert not gate._is_checked(), "gone is gone"


def test_the_store_is_not_damaged_when_it_cannot_be_opened(store: Store) -> None:
    store.add(new_task())
    other = Store(store.file)  # no thread has a connection of its own yet
    with no_more_files():
        with pytest.raises(Exception, match="unable to open") as found:
            other.page(1)
        assert getattr(found.value, "status", None) == 503
    assert not other.damaged.is_set()
    assert len(other.page(1)) == 1


def test_a_model_is_missing_only_when_it_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "parcels.toml").write_text(
        'file = "parcels.onnx"\nfamily = "yolox"\ninput_side_px = 416\nlabels = ["x"]'
    )
    models = Models(tmp_path)
    with no_more_files(), pytest.raises(StorageUnavailable):
        models.known()
    assert "parcels" in [model.name for model in models.known()]


def test_a_worker_is_dead_only_when_its_lock_can_be_taken(run_dir: Path) -> None:
    with no_more_files():
        assert worker_lock.try_hold(run_dir, 1) is None
        heartbeat.beat(run_dir, 1)  # is left out
        with pytest.raises(OSError, match="Too many open files"):
            heartbeat.look(run_dir, 1)
    assert heartbeat.read(run_dir, 1) is None


def test_which_errors_may_pass() -> None:
    assert all(may_pass(OSError(number, "")) for number in (errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM))
    assert not any(may_pass(OSError(number, "")) for number in (errno.ENOENT, errno.EACCES, errno.ELOOP, errno.ENOSPC))


WORK = """
import sys
from pathlib import Path
from pivision.images import Images
from pivision.errors import StorageUnavailable
images = Images(Path(sys.argv[1]), 0)
try:
    images.read(sys.argv[2])
except StorageUnavailable as error:
    print("unavailable", error)
print(images.read(sys.argv[2]).decode())
"""


QUERY = """
import sys
from pathlib import Path
from pivision.errors import DatabaseUnusable
from pivision.store import Store, soundness
file = Path(sys.argv[1])
if sys.argv[2] == "soundness":
    print(soundness.fault(file))
    raise SystemExit
try:
    store = Store(file)
except DatabaseUnusable:  # whoever opens it tries again
    store = Store(file)
for _ in range(3):
    store._connections._of_thread.connection = None  # as in a thread that has none yet
    print(store.get(1).id, store.damaged.is_set())
"""


def with_failing_calls(injection: str, file: Path, code: str, *arguments: object) -> list[str]:
    """What `code` prints while strace makes system calls on `file` fail."""
    needs.require("strace")
    command = ["strace", "-f", "-o", str(file.parent / "trace"), "-P", str(file), "-e", f"inject={injection}"]
    command += [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=config.ROOT, capture_output=True, text=True, timeout=60)
    if "ptrace" in done.stderr:
        needs.skip("strace", "nothing may be traced here")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("which", [1, 6, 10, 11, 12, 16, 17])
def test_a_page_that_cannot_be_read_once_is_not_damaged(store: Store, which: int) -> None:
    store.add(new_task())
    with contextlib.closing(apsw.Connection(str(store.file))) as raw:
        raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)  # so that pages are read from the file itself
    once = f"pread64:error=EIO:when={which}"
    assert with_failing_calls(once, store.file, QUERY, store.file, "use") == ["1 False"] * 3
    assert with_failing_calls(once, store.file, QUERY, store.file, "soundness") == ["None"]


def test_a_page_that_can_never_be_read_is_damaged(store: Store) -> None:
    for _ in range(200):
        store.add(new_task())
    with contextlib.closing(apsw.Connection(str(store.file))) as raw:
        raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    lines = with_failing_calls("pread64:error=EIO:when=8+1", store.file, QUERY, store.file, "soundness")
    assert "damaged" in lines[0]


def test_a_read_error_says_nothing_about_an_image(images: Images) -> None:
    sha256 = kept(images)
    path = images.path(sha256)
    lines = with_failing_calls("read:error=EIO:when=1", path, WORK, path.parent.parent, sha256)
    assert lines == [f"unavailable image {sha256[:12]}…: Input/output error", CONTENT.decode()]
