"""How much memory there is, by files as the kernel writes them, and who goes first."""

import subprocess
import sys
from pathlib import Path

import pytest

from pivision import memory

MIB = 1 << 20


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        ("0::/system.slice/pivision.service", {"system.slice/pivision.service/memory.max": "7340032\n"}, 7 * MIB),
        ("0::/a/b", {"a/b/memory.max": "max\n", "a/memory.max": "3145728\n"}, 3 * MIB),  # of a group above
        ("0::/", {"memory.max": "5242880\n"}, 5 * MIB),  # in a container with a view of its own
        ("4:cpu,memory:/x\n0::/", {"memory/x/memory.limit_in_bytes": "2097152\n"}, 2 * MIB),
        ("4:memory:/x", {"memory/x/memory.limit_in_bytes": "9223372036854771712\n"}, None),  # no limit, in version 1
        ("0::/a/b", {"a/b/memory.max": "max\n"}, None),
        ("0::/a/b", {}, None),
    ],
)
def test_the_smallest_limit_counts(tmp_path: Path, own: str, files: dict[str, str], limit: int | None) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "own").write_text(own + "\n")
    machine = int(
        next(line for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line).split()[1]
    )
    assert memory.total_bytes(tmp_path, tmp_path / "own") == pytest.approx(limit or machine << 10, rel=0.01)


@pytest.mark.parametrize(("total", "share"), [(512, 256), (906, 256), (1850, 462.5), (3800, 950), (8000, 1024)])
def test_a_task_may_map_a_quarter_within_bounds(monkeypatch: pytest.MonkeyPatch, total: int, share: float) -> None:
    monkeypatch.setattr(memory, "total_bytes", lambda: total * MIB)
    assert memory.task_bytes() == share * MIB


def test_a_process_offers_itself_and_takes_no_offer_back() -> None:
    code = (
        "from pathlib import Path; from pivision import memory\n"
        "memory.go_first(); print(Path('/proc/self/oom_score_adj').read_text().strip())\n"
        "Path('/proc/self/oom_score_adj').write_text('700'); memory.go_first()\n"
        "print(Path('/proc/self/oom_score_adj').read_text().strip())\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split() == ["500", "700"]
