"""What each program of a running appliance may use, as the kernel says it."""

import re
import resource
import subprocess
import sys
from pathlib import Path

from pivision.config import ROOT
from tests.box import Box, eventually, running_box


def programs(box: Box) -> dict[str, Path]:
    """Where the kernel tells of each."""
    pids = {name: box.pid(name) for name in ("server", "health", "worker:worker_1")}
    pids["supervisord"] = int((box.run_dir / "supervisord.pid").read_text())
    return {name: Path(f"/proc/{pid}") for name, pid in pids.items()}


def descriptors(process: Path) -> tuple[int, int]:
    (found,) = re.findall(r"^Max open files +(\d+) +(\d+)", (process / "limits").read_text(), re.MULTILINE)
    return int(found[0]), int(found[1])


def test_a_worker_goes_first_and_every_program_has_room_for_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with running_box() as box:
        scores = {name: int((of / "oom_score_adj").read_text()) for name, of in programs(box).items()}
        limits = {descriptors(of)[0] for of in programs(box).values()}
    assert scores.pop("worker:worker_1") >= 500 > max(scores.values())
    assert limits == {max(soft, min(8192, hard))}


def test_a_terminal_that_allows_few_descriptors_is_taken_as_it_is() -> None:
    with running_box(start=False) as box:
        command = ["prlimit", "--nofile=600:600", sys.executable, "-m", "pivision", "run", "--unattended"]
        box.process = subprocess.Popen(command, cwd=ROOT, env=box.environment, stdin=subprocess.DEVNULL)
        eventually(lambda: box.get("/readyz").status == 200, "the appliance is ready")
        assert {descriptors(of) for of in programs(box).values()} == {(600, 600)}
