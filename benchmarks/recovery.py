"""kill -9 of the server to its next 200, and of the worker to its next sign of life.

Each kill comes at another moment of supervisord's turn, which lasts up to a second. The server is asked for /healthz
every few milliseconds from the kill on.
"""

import http.client
import signal
import time
from collections.abc import Callable

from benchmarks.table import median, percentile, show, spread, verdict
from pivision import heartbeat
from tests.box import Box, running_box

KILLS = 10
GOAL_SECONDS = 1.0

_LOOK_SECONDS = 0.005
_GIVE_UP_SECONDS = 30.0
_CALM_SECONDS = 1.3  # a process that supervisord calls RUNNING, so that the next kill is no failed start


def main() -> None:
    """Kill and look, and print the table."""
    with running_box() as box:
        server = _kill_again_and_again(box, "server", _answers)
        worker = _kill_again_and_again(box, "worker:worker_1", _is_alive)
    show(
        "Recovery: seconds after kill -9",
        f"{KILLS} kills each, at different moments; median (min-max).",
        ["", "seconds", "p90", "goal"],
        [
            [
                "server, to its next 200 of /healthz",
                spread(server, 2),
                f"{percentile(server, 90):.2f}",
                verdict(median(server), GOAL_SECONDS, digits=2),
            ],
            ["worker, to its next sign of life", spread(worker, 2), f"{percentile(worker, 90):.2f}", ""],
        ],
    )


def _kill_again_and_again(box: Box, name: str, is_back: Callable[[Box, int], bool]) -> list[float]:
    seconds = []
    for kill in range(KILLS):
        time.sleep(_CALM_SECONDS + kill / KILLS)
        pid = box.signal(name, signal.SIGKILL)
        began = time.monotonic()
        while not is_back(box, pid):
            assert time.monotonic() - began < _GIVE_UP_SECONDS
            time.sleep(_LOOK_SECONDS)
        seconds.append(time.monotonic() - began)
    return seconds


def _answers(box: Box, killed: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", box.port, timeout=1)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _is_alive(box: Box, killed: int) -> bool:
    last = heartbeat.read(box.run_dir, 1)
    return last is not None and last.pid != killed and last.is_fresh()
