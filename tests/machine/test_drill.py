"""The drill, as the owner gives it on his own box."""

from pivision.drill import FAULTS
from tests.machine.machine import Machine
from tests.machine.root import on_each_release


@on_each_release
def test_the_drill_passes_and_leaves_nothing_behind(machine: Machine) -> None:
    done = machine.types(".venv/bin/python -m pivision drill --yes", timeout=900)
    print(done.stdout)
    passed = [line.split()[0] for line in done.stdout.splitlines() if line.endswith(" passed") and ":" not in line]
    assert passed == list(FAULTS)
    assert "drill" not in machine.types("ls data/secrets/tokens").stdout
    causes = machine.types(".venv/bin/python -m pivision why --last 50").stdout
    for cause in ("signal", "health", "watchdog"):
        assert f" {cause} " in causes
