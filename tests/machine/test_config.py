"""A bad configuration: nothing but putting the file right is needed."""

import pytest

from tests.box import eventually
from tests.machine.machine import SUPERVISORCTL, Machine
from tests.machine.ordeal import Ordeal


@pytest.mark.parametrize(
    ("file", "line"),
    [("pivision.toml", 'workers = "many"'), ("conf/supervisord.conf", "[program:broken]")],
    ids=("pivision.toml", "conf/supervisord.conf"),
)
def test_bad_configuration(machine: Machine, ordeal: Ordeal, file: str, line: str) -> None:
    with ordeal.fault():
        machine.types(f"touch {file}; cp {file} /tmp/good; echo '{line}' >> {file}")
        try:
            machine.types(f"{SUPERVISORCTL} reread", check=False)
            assert machine.get("/readyz").status == 200, "reading it again changes nothing that runs"
            before = restarts(machine)
            machine.types("sudo systemctl reload-or-restart --no-block pivision")
            eventually(lambda: machine.get("/healthz").status == 0, "it has ended")
            eventually(lambda: restarts(machine) >= before + 2, "systemd tries again and again")
            assert machine.get("/healthz").status == 0
        finally:
            machine.types(f"cp /tmp/good {file}")


def restarts(machine: Machine) -> int:
    """How often systemd has started it again by itself."""
    return int(machine.run("systemctl", "show", "--property=NRestarts", "--value", "pivision").stdout)
