"""A disk that runs full: nothing is taken that cannot be kept, and room is made of what is finished."""

import contextlib
import hashlib
import subprocess
from collections.abc import Iterator
from typing import Any

from pivision import tokens
from tests import needs
from tests.appliance.pictures import noise, photograph
from tests.box import Answer, Box, running_box

MB = 1_000_000
DISK_BYTES = 48 * MB
RESERVE_BYTES = 8 * MB
SIDE_PX = 365  # pictures of 0.4 MB


@contextlib.contextmanager
def on_small_disk(**settings: int) -> Iterator[Box]:
    """An appliance whose data folder is a small filesystem of its own."""
    with running_box(None, start=False, **settings) as box:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "pivision-test", box.data_dir],
            capture_output=True,
            text=True,
        )
        if mounted.returncode != 0:
            needs.skip("root", f"a small filesystem cannot be mounted here: {mounted.stderr.strip()}")
        try:
            box.token = tokens.create(box.data_dir / "secrets", "test")  # the first one lies under the mount
            box.start()
            yield box
        finally:
            box.stop()
            subprocess.run(["umount", box.data_dir], check=True)


def test_an_upload_that_would_eat_the_reserve_is_refused_and_leaves_nothing() -> None:
    with on_small_disk(disk_reserve_bytes=RESERVE_BYTES) as box:
        (box.data_dir / "filler").write_bytes(bytes(DISK_BYTES - RESERVE_BYTES - 4 * MB))
        assert box.get("/readyz").status == 200
        large, small = noise(1, 1300), noise(2, 500)
        assert len(large) > 4 * MB > len(small)

        assert_full(box.post(large))
        assert (box.images(), tasks_in(box, "queued", "done")) == (set(), 0)
        assert box.post(small).status == 201, "what fits is taken"

        (box.data_dir / "more").write_bytes(bytes(4 * MB))
        ready = box.get("/readyz")
        assert (ready.status, ready.json["checks"]["disk"]) == (503, "storage-full")
        assert_full(box.post(photograph()))
        assert hashlib.sha256(photograph()).hexdigest() not in box.images()


def test_a_result_can_be_read_however_little_room_there_is() -> None:
    """With less than another upload free above the reserve, finished tasks go: but not before they are read."""
    with on_small_disk(disk_reserve_bytes=RESERVE_BYTES) as box:
        (box.data_dir / "filler").write_bytes(bytes(DISK_BYTES - RESERVE_BYTES - 4 * MB))
        for seed in range(3):
            answer = box.post(noise(seed, SIDE_PX), "quality", wait=30)
            assert (answer.status, answer.json.get("state")) == (201, "done")
            assert box.get(f"/v1/tasks/{answer.json['id']}").status == 200


def test_a_disk_that_is_full_to_the_last_byte_stops_nothing_for_good() -> None:
    with on_small_disk(disk_reserve_bytes=0) as box:
        fill(box)
        server, worker = box.pid("server"), box.pid("worker:worker_1")

        assert_full(box.post(noise(1, SIDE_PX)))
        assert_full(box.post(photograph()))
        assert box.get("/v1/tasks").status == 200
        assert box.get("/healthz").status == 200

        (box.data_dir / "filler").unlink()
        assert box.post(noise(1, SIDE_PX), "quality", wait=30).json["state"] == "done"
        assert (box.pid("server"), box.pid("worker:worker_1")) == (server, worker), "nobody died of it"


def test_room_is_made_of_the_oldest_finished_tasks_and_never_of_waiting_ones() -> None:
    with on_small_disk(disk_reserve_bytes=RESERVE_BYTES, max_upload_bytes=2 * MB) as box:
        finished = [box.post(noise(seed, SIDE_PX), "quality", wait=30).json for seed in range(60)]
        assert {task["state"] for task in finished} == {"done"}
        assert box.supervisorctl("stop", "worker:worker_1").returncode == 0
        waiting: list[dict[str, Any]] = []
        while (answer := box.post(noise(60 + len(waiting), SIDE_PX), "quality")).status == 201:
            waiting.append(answer.json)
        assert_full(answer)
        assert len(waiting) > 10

        assert box.supervisorctl("start", "worker:worker_1").returncode == 0
        waited = [box.finished(task["id"]) for task in waiting]

        assert {task["state"] for task in waited} == {"done"}
        assert {box.request("GET", f"/v1/tasks/{task['id']}/image").status for task in waiting} == {200}
        kept = [box.get(f"/v1/tasks/{task['id']}").status for task in finished]
        assert kept == sorted(kept, reverse=True), "the oldest go"
        assert 404 in kept
        assert 200 in kept, "no more go than must"
        assert box.images() == {
            task["image"]["sha256"]
            for task in [*waiting, *(task for task, status in zip(finished, kept, strict=True) if status == 200)]
        }
        assert box.post(noise(1000, SIDE_PX), "quality", wait=30).json["state"] == "done"


def assert_full(answer: Answer) -> None:
    assert (answer.status, answer.json["code"]) == (507, "storage-full")
    assert answer.json["retryable"]


def fill(box: Box) -> None:
    """Write until nothing more fits."""
    with (box.data_dir / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(bytes(4096)):
            pass


def tasks_in(box: Box, *states: str) -> int:
    counts = box.get("/v1/system").json["tasks"]
    return sum(counts[state] for state in states)
