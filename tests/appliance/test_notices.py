"""What happens to a running box reaches its owner."""

import signal

from tests.box import free_port, running_box
from tests.webhook import listening


def test_a_killed_program_is_told_of_and_the_address_is_in_no_command_line_and_no_log() -> None:
    port = free_port()
    with listening(port) as webhook, running_box(notice_url=f"http://127.0.0.1:{port}/a-secret") as box:
        start = webhook.taken.get(timeout=30)
        assert (start["program"], start["cause"], start["detail"]) == ("pivision", "boot", "the first start")
        box.signal("worker:worker_1", signal.SIGKILL)
        notice = webhook.taken.get(timeout=30)
        assert (notice["program"], notice["cause"]) == ("worker_1", "signal")
        assert notice["detail"] == "terminated by SIGKILL"
        assert not any("a-secret" in argument for process in box.processes() for argument in process.cmdline())
        assert "a-secret" not in box.logs()
