"""An installed box learns to see: models from a mirror, used inside the service's sandbox."""

from pathlib import Path

import pytest

from tests import needs, weights
from tests.box import eventually
from tests.machine.machine import PROJECT, Machine

PICTURES = Path(__file__).parent.parent / "pictures"
MIRROR = "/media/mirror"


@pytest.fixture(scope="module")
def mirror(machine: Machine) -> str:
    """A folder of the machine that has the models' files, as on a USB stick."""
    machine.run("mkdir", "--parents", MIRROR)
    for name in ("yunet", "nanodet"):
        file = weights.model(name).file
        if (found := weights.find(file)) is None:
            needs.skip("models", weights.how_to_install(file))
        machine.run("tee", f"{MIRROR}/{file}", stdin=found.read_bytes())
    return MIRROR


def test_a_box_without_models_serves_and_says_what_is_off(machine: Machine) -> None:
    refused = machine.post((PICTURES / "astronaut.jpg").read_bytes(), "faces")
    assert (refused.status, refused.json["code"]) == (409, "model-missing")
    assert "models install faces" in refused.json["detail"]
    assert "models install" in machine.types("sudo python3 -m pivision doctor", check=False).stdout


def test_models_are_installed_while_it_serves(machine: Machine, mirror: str) -> None:
    said = machine.types(f"PIVISION_MODEL_MIRROR={mirror} .venv/bin/python -m pivision models install").stdout
    assert f"{PROJECT}/models/" in said
    worker = eventually(lambda: machine.pid("worker"), "a worker runs")
    faces = machine.post((PICTURES / "astronaut.jpg").read_bytes(), "faces,objects", wait=30)
    assert faces.json["state"] == "done", faces.json
    assert len(faces.json["result"]["faces"]["faces"]) == 1
    seen = machine.post((PICTURES / "person.jpg").read_bytes(), "objects,annotate", wait=30)
    assert {thing["label"] for thing in seen.json["result"]["objects"]["objects"]} >= {"person", "dog", "horse"}
    drawing = machine.get(f"/v1/tasks/{seen.json['id']}/annotated")
    assert (drawing.status, drawing.body[:3]) == (200, b"\xff\xd8\xff")
    assert machine.pid("worker") == worker


def test_it_sees_after_a_reboot(machine: Machine, mirror: str) -> None:
    machine.types("sudo reboot", check=False)
    machine.comes_back()
    eventually(lambda: machine.get("/readyz").status == 200, "the appliance is ready", 60)
    seen = machine.post((PICTURES / "dog.jpg").read_bytes(), "objects", wait=30)
    assert {thing["label"] for thing in seen.json["result"]["objects"]["objects"]} >= {"dog", "bicycle"}
