"""The owner's checklist, line by line, as he types it."""

from tests.box import eventually
from tests.machine.machine import Machine


def test_the_owners_checklist(machine: Machine) -> None:
    machine.types("sudo systemctl daemon-reload")
    machine.types("sudo systemctl enable --now pivision")
    assert "active (running)" in machine.types("systemctl status pivision").stdout
    assert "supervisord started" in machine.types("journalctl -u pivision").stdout
    assert "*:8080" in machine.types("ss -lntup | grep 8080").stdout

    machine.types("sudo reboot", check=False)
    machine.comes_back()
    eventually(machine.is_up, "the machine has booted", 60)

    assert machine.types("systemctl is-active pivision").stdout == "active\n"
    assert "<html" in machine.types("curl http://127.0.0.1:8080/").stdout
