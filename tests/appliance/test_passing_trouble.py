"""A running appliance meets trouble that passes: too many open files, read errors. Nobody ends, and no task is lost."""

import contextlib
import hashlib
import http.client
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from pivision import heartbeat
from tests import needs
from tests.appliance.pictures import noise
from tests.box import Box, eventually, running_box

TASKS = 5


@contextlib.contextmanager
def unreadable(box: Box, program: str, files: list[Path]) -> Iterator[None]:
    """Let each attempt of a running program to open one of these files end in EIO, as when a card does not answer."""
    needs.require("strace")
    paths = [argument for file in files for argument in ("-P", str(file))]
    command = ["strace", "-f", "-p", str(box.pid(program)), *paths, "-e", "inject=openat:error=EIO"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as tracing:
        assert tracing.stderr is not None
        line = tracing.stderr.readline()
        if "attached" not in line:
            needs.skip("strace", f"nothing may be traced here: {line}")
        with (box.folder / "trace").open("w") as rest:  # so that it never waits for somebody to read
            copying = subprocess.Popen(["cat"], stdin=tracing.stderr, stdout=rest)
            try:
                yield
            finally:
                tracing.terminate()
                tracing.wait()
                copying.wait()


def test_read_errors_that_pass_fail_no_task() -> None:
    """Seen: five acknowledged tasks failed for good."""
    with running_box() as box:
        pictures = [noise(seed, 64) for seed in range(TASKS)]
        shas = [hashlib.sha256(picture).hexdigest() for picture in pictures]
        worker = box.pid("worker:worker_1")
        with unreadable(box, "worker:worker_1", [box.data_dir / "images" / sha[:2] / sha for sha in shas]):
            tasks = [box.post(picture, "quality").json for picture in pictures]
            good = box.post(noise(100, 64), "quality", wait=40)
            assert good.json["state"] == "done", "what can be read does not wait for what cannot"
            eventually(lambda: "storage-unavailable" in box.logs(), "the worker has met it", 20)
            assert {box.task(task["id"])["state"] for task in tasks} <= {"queued", "running"}
        finished = [box.finished(task["id"]) for task in tasks]
        assert {(task["state"], task["attempt"]) for task in finished} == {("done", 1)}
        assert box.pid("worker:worker_1") == worker


def test_a_server_without_a_descriptor_left_says_so_and_ends_nobody() -> None:
    """Seen: with all descriptors in use, valid tokens got 401, and all programs ended to check the database."""
    with running_box() as box:
        task = box.post(noise(1, 64), "quality", wait=30).json
        pids = {name: box.pid(name) for name in ("server", "worker:worker_1", "health")}
        checked = (box.run_dir / heartbeat.FOLDER / "database.checked").stat().st_mtime_ns
        connections = [box.connection(10) for _ in range(3)]
        for connection in connections:
            assert status(box, connection, "/v1/system") == 200
        soft, hard = resource.prlimit(pids["server"], resource.RLIMIT_NOFILE)
        used = {int(file.name) for file in Path(f"/proc/{pids['server']}/fd").iterdir()}
        free = next(number for number in range(len(used) + 1) if number not in used)
        resource.prlimit(pids["server"], resource.RLIMIT_NOFILE, (free, hard))
        try:
            ends = time.monotonic() + 4  # the gate looks every second
            found = set()
            while time.monotonic() < ends:
                found |= {status(box, connection, f"/v1/tasks/{task['id']}/image") for connection in connections}
                time.sleep(0.2)
        finally:
            resource.prlimit(pids["server"], resource.RLIMIT_NOFILE, (soft, hard))
        assert found == {503}
        assert status(box, connections[0], f"/v1/tasks/{task['id']}/image") == 200
        for connection in connections:
            connection.close()
        assert {name: box.pid(name) for name in pids} == pids
        assert (box.run_dir / heartbeat.FOLDER / "database.checked").stat().st_mtime_ns == checked, (
            "it was not checked again"
        )


def status(box: Box, connection: http.client.HTTPConnection, path: str) -> int:
    """What is answered on a connection that is open already."""
    connection.request("GET", path, headers={"Authorization": f"Bearer {box.token}"})
    answer = connection.getresponse()
    answer.read()
    return answer.status
