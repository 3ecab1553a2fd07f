"""The owner's checklist, line by line, as he types it."""

from tests.box import eventually
from tests.machine.machine import Machine


def test_the_owners_checklist(machine: Machine) -> None:
    machine.types("sudo systemctl daemon-reload")
    machine.types("sudo systemctl enable --now pivision")
    assert "active (running)" in machine.types("systemctl status pivision").stdout
    assert "supervisord started" in machine.types("journalctl -u pivision").stdout
    assert "0.0.0.0:8080" in machine.types("ss -lntup | grep 8080").stdout

    machine.types("sudo reboot", check=False)
    machine.comes_back()

    assert machine.types("systemctl is-active pivision").stdout.strip() == "active"
    eventually(
        lambda: machine.types("curl --silent --show-error http://127.0.0.1:8080/", check=False).returncode == 0,
        "the page is there after the reboot",
        30,
    )
