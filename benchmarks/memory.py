"""Memory of the whole tree with one worker: the proportional set size of each process.

Idle after work: every picture of the mix has been through the worker, so OpenCV, NumPy and the readers are loaded and
have done their job, and the server has answered requests of every size.
"""

import time

from benchmarks import pictures, process
from benchmarks.table import median, show, spread, verdict
from tests.box import running_box

ROUNDS = 2
SETTLE_SECONDS = 8.0  # longer than a worker looks for work before it calls itself idle
GOAL_MB = 130.0


def main() -> None:
    """Measure a fresh appliance in each round and print the table."""
    megabytes: dict[str, list[float]] = {}
    for _round in range(ROUNDS):
        with running_box() as box:
            for image in pictures.mix():
                assert box.post(image, "codes,quality", wait=10).status == 201
            time.sleep(SETTLE_SECONDS)
            for name, pid in process.tree(box).items():
                megabytes.setdefault(name, []).append(process.pss_bytes(pid) / 1e6)
    totals = [sum(values) for values in zip(*megabytes.values(), strict=True)]
    show(
        "Memory: proportional set size",
        f"Idle after {len(pictures.mix())} pictures; one worker; {ROUNDS} fresh appliances, medians (min-max) in MB "
        "(10^6 bytes).",
        ["process", "MB", "goal"],
        [
            *([name, spread(values, 1), ""] for name, values in megabytes.items()),
            ["total", spread(totals, 1), verdict(median(totals), GOAL_MB)],
        ],
    )
