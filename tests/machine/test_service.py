"""The unit: started, restarted, rebooted, and without power from one moment to the next."""

from tests.machine.machine import Machine
from tests.machine.ordeal import Ordeal


def test_start_returns_when_it_serves(machine: Machine, ordeal: Ordeal) -> None:
    with ordeal.fault():
        machine.types("sudo systemctl stop pivision", timeout=90)
        machine.types("sudo systemctl start pivision", timeout=150)
        assert machine.get("/").status == 200


def test_restart(machine: Machine, ordeal: Ordeal) -> None:
    with ordeal.fault():
        machine.types("sudo systemctl restart pivision", timeout=150)
        assert machine.get("/").status == 200


def test_reboot(machine: Machine, ordeal: Ordeal) -> None:
    with ordeal.fault():
        machine.types("sudo reboot", check=False)
        machine.comes_back()


def test_plug_pulled(machine: Machine, ordeal: Ordeal) -> None:
    with ordeal.fault():
        machine.pull_plug()
        machine.switch_on()
