"""What the tests of the running appliance share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.box import Box, running_box


@pytest.fixture(scope="session")
def faults() -> dict[str, str]:
    """The environment in which pictures made with `pictures.faulty` break the workers."""
    return {"PYTHONPATH": str(Path(__file__).parent / "faults")}


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    """An appliance for the tests of one file that leave it as it was."""
    with running_box(max_upload_bytes=1_000_000) as running:
        yield running
