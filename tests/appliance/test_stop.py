"""The end of the appliance: in order, with nothing left over, and at no task's cost."""

import os
import re
import signal

from pivision.store import Store
from tests.appliance.pictures import faulty, photograph
from tests.box import Box, eventually, is_alive, running_box


def test_sigterm_lets_tasks_finish_or_hands_them_back_without_costing_an_attempt(faults: dict[str, str]) -> None:
    with running_box(faults, workers=2) as box:
        short = box.post(faulty("SLOW", 5), "quality").json["id"]
        long = box.post(faulty("SLOW", 50), "quality").json["id"]
        eventually(lambda: {box.task(task)["state"] for task in (short, long)} == {"running"}, "both are worked on")
        waiting = box.post(photograph(), "quality").json["id"]

        end(box, signal.SIGTERM)

        store = Store(box.data_dir / "pivision.db")
        assert (store.get(short).state, store.get(short).attempt) == ("done", 1)
        assert (store.get(long).state, store.get(long).attempt) == ("queued", 0)
        assert (store.get(waiting).state, store.get(waiting).attempt) in (("queued", 0), ("done", 1))
        ended = re.findall(r"stopped: ([a-z]+)", box.log("supervisord"))
        assert ended == ["health", "server", "worker", "worker"], "no healing of what ends, no new task, then the work"


def test_ctrl_c_ends_every_program(faults: dict[str, str]) -> None:
    with running_box(faults, start=False) as box:
        box.start(unattended=False)
        end(box, signal.SIGINT)
        assert "Traceback" not in box.logs()


def end(box: Box, how: signal.Signals) -> None:
    """End the appliance; SIGINT goes to the whole process group, as from a terminal."""
    assert box.process is not None
    processes = [process.pid for process in box.processes()]
    assert len(processes) > 3
    if how == signal.SIGINT:
        os.killpg(box.process.pid, how)
    else:
        box.process.send_signal(how)
    assert box.process.wait(timeout=45) == 0
    box.process = None
    assert not [pid for pid in processes if is_alive(pid)]
    assert box.get("/healthz").status == 0
