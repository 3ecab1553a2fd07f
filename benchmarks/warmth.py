"""A worker with every model loaded: what it weighs, and what its first answers take.

Two fresh appliances in each round: one that loads its models on first use, one that loads them at its start
(models_at_start). Each answers the same picture ten times.
"""

import time

from benchmarks import process
from benchmarks.table import median, show, spread
from pivision.config import ROOT
from tests import weights
from tests.box import Box, running_box

ROUNDS = 3
ANSWERS = 10
OPERATIONS = "faces,objects,text"
SETTLE_SECONDS = 8.0  # longer than a worker looks for work before it calls itself idle
_PHOTOGRAPH = ROOT / "tests" / "pictures" / "dog.jpg"


def main() -> None:
    """Measure and print both tables."""
    picture = _PHOTOGRAPH.read_bytes()
    milliseconds: dict[str, list[list[float]]] = {"on first use": [], "at start": []}
    megabytes: dict[str, list[float]] = {}
    for _round in range(ROUNDS):
        for loaded, wanted in (("on first use", ""), ("at start", OPERATIONS)):
            with (
                weights.folder("yunet", "nanodet") as models,
                running_box(models_dir=models, models_at_start=wanted) as box,
            ):
                if wanted:
                    time.sleep(SETTLE_SECONDS)
                    megabytes.setdefault("before the first picture", []).append(_worker_megabytes(box))
                milliseconds[loaded].append([_answer(box, picture) for _ in range(ANSWERS)])
                time.sleep(SETTLE_SECONDS)
                megabytes.setdefault(f"idle after {ANSWERS} pictures, loaded {loaded}", []).append(
                    _worker_megabytes(box)
                )
    show(
        "Warmth: the first answer and the tenth",
        f"operations={OPERATIONS} on {_PHOTOGRAPH.name}, POST with ?wait, {ROUNDS} fresh appliances each, ms, medians "
        "(min-max).",
        ["models are loaded", "first", "second", "tenth"],
        [
            [loaded, *(spread([answers[number] for answers in told], 0) for number in (0, 1, ANSWERS - 1))]
            for loaded, told in milliseconds.items()
        ],
    )
    show(
        "Memory of a worker with all models",
        "Proportional set size in MB (10^6 bytes) of one worker: yunet, nanodet and the text models.",
        ["", "MB"],
        [[when, f"{median(values):.0f}"] for when, values in megabytes.items()],
    )


def _answer(box: Box, picture: bytes) -> float:
    began = time.perf_counter()
    answer = box.post(picture, OPERATIONS, wait=60)
    assert answer.json["state"] == "done", answer
    return (time.perf_counter() - began) * 1000


def _worker_megabytes(box: Box) -> float:
    (pid,) = (pid for name, pid in process.tree(box).items() if name.startswith("worker"))
    return process.pss_bytes(pid) / 1e6


if __name__ == "__main__":
    main()
