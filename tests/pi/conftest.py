"""What the tests on emulated machines share."""

from collections.abc import Iterator

import pytest

from tests.box import eventually
from tests.pi.guest import RASPI3B, VIRT, Guest, guest
from tests.pi.image import Image, image


@pytest.fixture(scope="session")
def disk_image() -> Iterator[Image]:
    """Debian and the present checkout."""
    with image() as made:
        yield made


@pytest.fixture(scope="module", params=[VIRT, RASPI3B], ids=lambda board: board.name)
def installed(disk_image: Image, request: pytest.FixtureRequest) -> Iterator[Guest]:
    """A guest with the appliance installed as README.md says. Each test goes on with what the one before has left."""
    with guest(request.param, disk_image) as machine:
        machine.switch_on()
        eventually(machine.lets_in, "the owner can log in", 600)
        machine.types('sudo make install OPTIONS="--wheels /wheels"', timeout=600)
        machine.serves()
        machine.token = machine.types(".venv/bin/python -m pivision token make test").stdout.strip()
        yield machine
