"""Real parts for the tests of one room each: a database file, a folder of images, a run folder."""

import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import msgspec
import pytest
from PIL import Image as PillowImage

from pivision.images import Images
from pivision.store import Store
from pivision.task import Image, Lane, NewTask

# The same examples in each run: a change is judged by its own faults and not by luck. EXPLORE=1 looks further.
hypothesis.settings.register_profile("steady", deadline=None, max_examples=100, derandomize=True, database=None)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=5000, database=None)
hypothesis.settings.load_profile("explore" if os.environ.get("EXPLORE") else "steady")

EVERYTHING = 1 << 62
"""More bytes than all images together have."""

NO_QUOTA = 1 << 50
"""A quota that no disk here can exceed."""

OPERATIONS = msgspec.Raw(b'[{"name":"codes","params":{"formats":[]}}]')


def new_task(
    sha256: str = "a" * 64,
    *,
    operations: msgspec.Raw = OPERATIONS,
    source: str | None = None,
    idempotency_key: str | None = None,
    lane: Lane = "batch",
) -> NewTask:
    """What a client asks for."""
    return NewTask(Image(sha256, "jpeg", 640, 480, 12345), operations, source, idempotency_key, lane)


def encoded(picture: PillowImage.Image, kind: str, **options: object) -> bytes:
    """A picture as a file's bytes, written by Pillow."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store on a database file of its own."""
    return Store(tmp_path / "data" / "pivision.db", timeout_seconds=5)


@pytest.fixture
def images(tmp_path: Path) -> Images:
    """A folder of images without a reserve."""
    return Images(tmp_path / "data" / "images", reserve_bytes=0)


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A run folder with a short name: Unix sockets have paths of at most 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="pv-"))
    yield folder
    shutil.rmtree(folder)
