"""A worker with every model loaded: what it weighs, and what its first answers take.

Two fresh appliances in each round: one that loads its models on first use, one that loads them at its start
(models_at_start). Each answers the same picture ten times.
"""

import itertools
import time
from typing import NamedTuple

from benchmarks import process
from benchmarks.table import median, show, spread
from pivision.config import ROOT
from tests import weights
from tests.box import Box, running_box

ROUNDS = 3
ANSWERS = 10
OPERATIONS = ("faces,objects", "faces,objects,text")
SETTLE_SECONDS = 8.0  # longer than a worker looks for work before it calls itself idle
_PHOTOGRAPH = ROOT / "tests" / "pictures" / "dog.jpg"


class Answer(NamedTuple):
    """Milliseconds."""

    posted: float
    operations: float


def main() -> None:
    """Measure and print both tables."""
    picture = _PHOTOGRAPH.read_bytes()
    answers: dict[tuple[str, str], list[list[Answer]]] = {}
    megabytes: dict[tuple[str, str], list[float]] = {}
    for _round in range(ROUNDS):
        for operations, at_start in itertools.product(OPERATIONS, (False, True)):
            wanted = operations if at_start else ""
            key = (operations, "at start" if at_start else "on first use")
            with (
                weights.folder("yunet", "nanodet") as models,
                running_box(models_dir=models, models_at_start=wanted) as box,
            ):
                if at_start:
                    time.sleep(SETTLE_SECONDS)
                answers.setdefault(key, []).append([_answer(box, picture, operations) for _ in range(ANSWERS)])
                time.sleep(SETTLE_SECONDS)
                megabytes.setdefault(key, []).append(_worker_megabytes(box))
    show(
        "Warmth: the first answer and the tenth, and what a worker weighs",
        f"{_PHOTOGRAPH.name}, POST with ?wait, {ROUNDS} fresh appliances each, medians (min-max), and of it the "
        "[operations]. MB: proportional set size of the one worker, idle after its tenth answer, 10^6 bytes.",
        ["operations", "models are loaded", "first, ms", "second, ms", "tenth, ms", "MB"],
        [
            [*key, *(_cell([told[number] for told in answers[key]]) for number in (0, 1, -1)), spread(weight)]
            for key, weight in megabytes.items()
        ],
    )


def _answer(box: Box, picture: bytes, operations: str) -> Answer:
    began = time.perf_counter()
    answer = box.post(picture, operations, wait=60)
    elapsed = (time.perf_counter() - began) * 1000
    assert answer.json["state"] == "done", answer
    return Answer(elapsed, sum(entry["milliseconds"] for entry in answer.json["result"].values()))


def _cell(answers: list[Answer]) -> str:
    return f"{spread([answer.posted for answer in answers])} [{median(answer.operations for answer in answers):,.0f}]"


def _worker_megabytes(box: Box) -> float:
    (pid,) = (pid for name, pid in process.tree(box).items() if name.startswith("worker"))
    return process.pss_bytes(pid) / 1e6


if __name__ == "__main__":
    main()
