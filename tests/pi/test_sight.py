"""The vision on ARM64: models from a mirror, loaded and run by the service in its sandbox."""

import base64
from pathlib import Path

from tests import needs, weights
from tests.pi.guest import Guest

PICTURES = Path(__file__).parent.parent / "pictures"
MIRROR = "/tmp/mirror"
SIGHT_SECONDS = 60.0
"""For one picture: the models are tried, loaded and run for the first time, by emulation."""


def test_sees(installed: Guest) -> None:
    installed.types(f"mkdir -p {MIRROR}")
    for name in ("yunet", "nanodet"):
        file = weights.model(name).file
        if (found := weights.find(file)) is None:
            needs.skip("models", weights.how_to_install(file))
        installed.types(f"base64 -d > {MIRROR}/{file}", stdin=base64.b64encode(found.read_bytes()).decode())
    installed.types(f"PIVISION_MODEL_MIRROR={MIRROR} .venv/bin/python -m pivision models install", timeout=300)
    for turn in ("first", "second"):
        posted = installed.post((PICTURES / "person.jpg").read_bytes(), "faces,objects,people,annotate")
        task = installed.finished(posted.json["id"], SIGHT_SECONDS)
        assert task["state"] == "done", task
        assert {thing["label"] for thing in task["result"]["objects"]["objects"]} >= {"person", "dog", "horse"}
        assert task["result"]["people"]["count"] == 1
        milliseconds = {name: round(entry["milliseconds"]) for name, entry in task["result"].items()}
        print(f"\n{installed.board.name}, the {turn} picture, ms: {milliseconds}")
    seen = installed.finished(
        installed.post((PICTURES / "astronaut.jpg").read_bytes(), "faces").json["id"], SIGHT_SECONDS
    )
    assert len(seen["result"]["faces"]["faces"]) == 1
