"""The doctor beside a real appliance: all of it is in order, and what is not is said."""

import json
import signal
import subprocess
from typing import Any

from tests.box import Box, running_box
from tests.unit.test_doctor import run


def examined(box: Box) -> dict[str, list[dict[str, Any]]]:
    """The findings of each check."""
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(run("--json", environment=box.environment).stdout)["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    return found


def test_a_running_appliance_is_in_order() -> None:
    with running_box() as box:
        found = examined(box)
        held, web = found["port"]
        assert held["state"] == web["state"] == "ok"
        assert f"{box.port} is held by PiVision itself: pid {box.pid('server')} (" in held["seen"]
        assert f"{box.web_port} is held by PiVision itself" in web["seen"]
        for check in ("supervisord", "settings", "data-owner", "data-modes", "database", "filesystem"):
            (finding,) = found[check]
            assert finding["state"] == "ok", finding
        assert found["supervisord"][0]["seen"] == "answers; 3 programs run"
        assert box.get("/readyz").status == 200


def test_a_program_that_was_stopped_is_named_with_the_command_that_starts_it() -> None:
    with running_box() as box:
        box.supervisorctl("stop", "worker:worker_1")
        (finding,) = examined(box)["supervisord"]
        assert (finding["state"], finding["seen"]) == ("warning", "worker:worker_1 is STOPPED")
        command = finding["remedy"].partition(";")[0]
        subprocess.run(command, shell=True, check=True, timeout=60)
        assert examined(box)["supervisord"][0]["state"] == "ok"


def test_a_supervisord_that_hangs_does_not_hang_the_doctor() -> None:
    with running_box() as box:
        assert box.process is not None
        box.process.send_signal(signal.SIGSTOP)
        try:
            (finding,) = examined(box)["supervisord"]
        finally:
            box.process.send_signal(signal.SIGCONT)
        assert finding["state"] == "failure"
        assert "timed out" in finding["seen"]
