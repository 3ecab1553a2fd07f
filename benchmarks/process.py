"""The processes of an appliance, as the kernel sees them."""

import os
import re
from pathlib import Path

from tests.box import Box


def tree(box: Box) -> dict[str, int]:
    """Supervisord and its programs by name, with their process ids."""
    assert box.process is not None
    programs = {name: program.pid for name, program in box.programs().items()}
    return {"supervisord": box.process.pid, **programs}


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used so far, in its own code and in the kernel for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss_bytes(pid: int) -> int:
    """Proportional set size: what is shared counts for each of its users in equal parts."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss: +(\d+) kB$", rollup, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
