"""What the appliance adds to a picture: POST with ?wait on an idle machine, minus the bare operations.

Pair by pair: one POST on a new connection, as curl would send it, and the same picture decoded and looked at by the
same code in a process that has the worker's environment and nothing else to do. The difference is everything between:
HTTP, the checks, the flushes of the disk, the worker's wake-up, its claim and its finish, and the answer. In between
the appliance is idle.

And what the idle tree itself costs: the processor time of supervisord and all its programs over a while.
"""

import time
from multiprocessing.pool import Pool

from benchmarks import bare, pictures, process
from benchmarks.table import median, percentile, show, verdict
from tests.box import Box, running_box

PAIRS = 120
PAUSE_SECONDS = 0.02
IDLE_SECONDS = 30.0
GOAL_MEDIAN_MS = 5.0
GOAL_P99_MS = 15.0
GOAL_IDLE_PERCENT = 1.0


def main() -> None:
    """Measure the pairs, then the idle tree, and print both tables."""
    images = {
        "640 x 480, no code": pictures.photograph(640, 480),
        "1280 x 720, a QR code": pictures.photograph(1280, 720, code="qrcode-1.webp"),
    }
    with running_box() as box:
        with bare.process() as pool:
            rows = [row for name, image in images.items() for row in _differences(box, pool, name, image)]
        show(
            "Overhead: POST with ?wait minus the bare operations",
            f"operations={bare.OPERATIONS}, an idle appliance, {PAIRS} pairs for each picture, each difference "
            "between the two times of one pair.",
            ["picture", "", "median ms", "goal", "p99 ms", "goal"],
            rows,
        )
        show(
            "Idle: processor time of the whole tree",
            f"utime + stime over {IDLE_SECONDS:.0f} s without a request; percent of one core.",
            ["process", "percent", "goal"],
            _idle(box),
        )


def _differences(box: Box, pool: Pool, name: str, image: bytes) -> list[list[str]]:
    posted_ms: list[float] = []
    bare_ms: list[float] = []
    for pair in range(-10, PAIRS):  # the first ten warm both up
        time.sleep(PAUSE_SECONDS)
        began = time.perf_counter()
        answer = box.post(image, bare.OPERATIONS, wait=10)
        posted = time.perf_counter()
        bare_seconds = pool.apply(bare.seconds, ([image],))
        assert answer.json["state"] == "done", answer
        if pair >= 0:
            posted_ms.append((posted - began) * 1000)
            bare_ms.append(bare_seconds * 1000)
    differences_ms = [one - other for one, other in zip(posted_ms, bare_ms, strict=True)]
    return [
        [name, "POST with ?wait", f"{median(posted_ms):.2f}", "", f"{percentile(posted_ms, 99):.2f}", ""],
        ["", "bare operations", f"{median(bare_ms):.2f}", "", f"{percentile(bare_ms, 99):.2f}", ""],
        [
            "",
            "difference",
            f"{median(differences_ms):.2f}",
            verdict(median(differences_ms), GOAL_MEDIAN_MS),
            f"{percentile(differences_ms, 99):.2f}",
            verdict(percentile(differences_ms, 99), GOAL_P99_MS),
        ],
    ]


def _idle(box: Box) -> list[list[str]]:
    tree = process.tree(box)
    before = {name: process.cpu_seconds(pid) for name, pid in tree.items()}
    time.sleep(IDLE_SECONDS)
    percent = {name: (process.cpu_seconds(pid) - before[name]) / IDLE_SECONDS * 100 for name, pid in tree.items()}
    total = sum(percent.values())
    rows = [[name, f"{share:.2f}", ""] for name, share in percent.items()]
    return [*rows, ["total", f"{total:.2f}", verdict(total, GOAL_IDLE_PERCENT, digits=2)]]
