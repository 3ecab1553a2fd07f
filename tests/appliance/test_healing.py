"""What supervisord does not see or has given up, health mends; what a person stopped it leaves alone for a time.

It takes its time, so all that must be waited for happens at the same time.
"""

import contextlib
import signal
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.appliance.pictures import faulty
from tests.box import Box, eventually, running_box


class Ward(NamedTuple):
    """Two appliances with something wrong, some time later."""

    frozen: Box  # server and worker 1 were stopped with SIGSTOP, worker 2 by a person
    frozen_pids: dict[str, int]
    task: dict[str, Any]  # worker 1 had it when it froze
    shut_out: Box  # found its port taken


@pytest.fixture(scope="module")
def ward(faults: dict[str, str]) -> Iterator[Ward]:
    with contextlib.ExitStack() as stack:
        shut_out = stack.enter_context(running_box(start=False))
        holder = stack.enter_context(socket.create_server(("127.0.0.1", shut_out.port)))
        shut_out.start(until_ready=False)
        frozen = stack.enter_context(
            running_box(faults, workers=2, task_deadline_seconds=6, database_timeout_seconds=2, stopped_seconds=35)
        )

        eventually(lambda: has_seen_all_alive(frozen), "health has seen each of them alive")
        assert frozen.supervisorctl("stop", "worker:worker_2").returncode == 0
        task_id = frozen.post(faulty("SLOW", 3), "quality").json["id"]
        eventually(lambda: frozen.task(task_id)["state"] == "running", "worker 1 is at it")
        pids = {name: frozen.signal(name, signal.SIGSTOP) for name in ("worker:worker_1", "server")}

        eventually(lambda: shut_out.programs()["server"].state == "FATAL", "supervisord gives the server up", 60)
        eventually(lambda: "holds port" in shut_out.log("health"), "health has seen why")
        assert shut_out.programs()["server"].state == "FATAL"
        holder.close()
        eventually(lambda: shut_out.get("/readyz").status == 200, "the server is started once its port is free")

        eventually(lambda: frozen.get("/healthz").status == 200, "the frozen server is replaced", 60)
        assert frozen.programs()["worker:worker_2"].state == "STOPPED", "a person's will counts for a while"
        eventually(lambda: frozen.programs()["worker:worker_2"].state == "RUNNING", "it is started again", 60)
        yield Ward(frozen, pids, frozen.finished(task_id), shut_out)


def test_a_frozen_server_is_replaced(ward: Ward) -> None:
    assert ward.frozen.pid("server") != ward.frozen_pids["server"]
    [restart] = restarts(ward.frozen, "server")
    assert restart["cause"] == "health"
    assert restart["detail"].startswith("/healthz gave no answer")
    assert "server: kill, because: /healthz gave no answer" in ward.frozen.log("health")


def test_a_frozen_worker_is_replaced_and_its_task_done(ward: Ward) -> None:
    assert ward.frozen.pid("worker:worker_1") != ward.frozen_pids["worker:worker_1"]
    assert (ward.task["state"], ward.task["attempt"]) == ("done", 2)
    [restart] = restarts(ward.frozen, "worker_1")
    assert restart["cause"] == "health"
    assert "overdue" in restart["detail"]
    assert f"overdue, it has task {ward.task['id']}" in ward.frozen.log("health")


def test_what_a_person_stopped_is_started_again_after_a_time(ward: Ward) -> None:
    assert ward.frozen.pid("worker:worker_2")
    assert [restart["cause"] for restart in restarts(ward.frozen, "worker_2")] == ["operator", "health"]
    assert "stopped for 35 s" in restarts(ward.frozen, "worker_2")[1]["detail"]


def test_a_server_whose_port_was_taken_is_started_once_the_port_is_free(ward: Ward) -> None:
    assert ward.shut_out.pid("server")
    causes = [(restart["cause"], restart["detail"]) for restart in restarts(ward.shut_out, "server")]
    assert causes[0] == ("exit", "exit status 1")
    assert ("unhealed", f"another program holds port {ward.shut_out.port}; it is started once that is free") in causes
    assert causes[-1] == ("health", "supervisord has given it up: FATAL: started")
    assert [cause for cause, _ in causes].count("health") == 1, "not once while the port was held"
    log = ward.shut_out.log("health")
    assert log.count(f"another program holds port {ward.shut_out.port}") == 1, "one line, and no flood"


def has_seen_all_alive(box: Box) -> bool:
    """Whether health has looked at every program since it runs: before, it would give it a minute."""
    report = box.get("/v1/system").json["health"]
    return bool(report) and {program["state"] for program in report["programs"]} == {"RUNNING"}


def restarts(box: Box, program: str) -> list[dict[str, Any]]:
    """What is known of a program's restarts."""
    return [event for event in box.get("/v1/system").json["restarts"] if event["program"] == program]
