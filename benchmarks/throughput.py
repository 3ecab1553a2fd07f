"""Pictures per second through one worker, against a bare loop of the same code.

The pictures are queued while the worker is stopped; then it is started, and what counts is from the first claim to the
last finish, as the tasks themselves tell. The bare loop decodes and looks at the same pictures, in the same order, in
one process that has the worker's environment and nothing else to do. Round by round, one after the other.
"""

import datetime
import time
from itertools import cycle, islice
from typing import Any

from benchmarks import bare, pictures
from benchmarks.client import numbered
from benchmarks.http import stop_worker, supervisorctl
from benchmarks.table import median, show, spread, verdict
from tests.box import Box, running_box

PICTURES = 500
ROUNDS = 3
GOAL = 0.9

_LOOK_SECONDS = 0.5  # seldom: to ask costs the worker a share of the cores


def main() -> None:
    """Measure both round by round and print the table."""
    mix = list(islice(cycle(pictures.mix()), PICTURES))
    images = [numbered(image, number) if image[:2] == b"\xff\xd8" else image for number, image in enumerate(mix)]
    worked: list[float] = []
    looped: list[float] = []
    with running_box() as box, bare.process() as pool:
        pool.apply(bare.seconds, (list(pictures.mix()),))  # warm
        for _round in range(ROUNDS):
            looped.append(PICTURES / pool.apply(bare.seconds, (images,)))
            worked.append(PICTURES / _work_seconds(box, images))
    ratios = [one / other for one, other in zip(worked, looped, strict=True)]
    show(
        "Throughput: pictures through one worker",
        f"{PICTURES} pictures of {len(pictures.mix())} kinds, {sum(map(len, images)) / PICTURES / 1000:.0f} KB on "
        f"average, operations={bare.OPERATIONS}; {ROUNDS} interleaved rounds, medians (min-max).",
        ["", "pictures/s", "ratio", "goal"],
        [
            [
                "one worker",
                spread(worked, 1),
                spread(ratios, 3),
                verdict(median(ratios), GOAL, at_least=True, digits=3),
            ],
            ["bare loop", spread(looped, 1), "", ""],
        ],
    )


def _work_seconds(box: Box, images: list[bytes]) -> float:
    stop_worker(box)
    ids = [int(box.post(image, bare.OPERATIONS).json["id"]) for image in images]
    supervisorctl(box, "start", "worker:*")
    while not box.task(ids[-1])["finished_at"]:
        time.sleep(_LOOK_SECONDS)
    tasks: list[Any] = [box.task(task_id) for task_id in ids]
    assert all(task["state"] == "done" for task in tasks), [task for task in tasks if task["state"] != "done"]
    return (_time(tasks[-1]["finished_at"]) - _time(tasks[0]["started_at"])).total_seconds()


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)
