"""The last rung of the ladder: what health leaves reboots the machine, if the owner has allowed it."""

from tests.box import eventually
from tests.machine.machine import PROJECT, Machine

UNIT = "/etc/systemd/system/pivision.service.d"


def test_the_drop_in_reboots_when_health_wants_it_and_never_else(machine: Machine) -> None:
    machine.run("mkdir", UNIT)
    machine.run("cp", f"{PROJECT}/systemd/pivision.service.d/reboot.conf", UNIT)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "pivision")
    assert machine.types("systemctl is-active pivision").stdout.strip() == "active", "an end alone reboots nothing"

    machine.run("touch", "/run/pivision/reboot-wanted")  # as health does before it lets the watchdog bite
    machine.run("pkill", "-KILL", "--full", "supervisord", check=False)
    machine.comes_back()

    eventually(lambda: machine.get("/readyz").status == 200, "it serves after the reboot", 30)
    assert machine.run("test", "-e", "/run/pivision/reboot-wanted", check=False).returncode == 1
    assert " boot " in machine.types(".venv/bin/python -m pivision why --last 1").stdout
