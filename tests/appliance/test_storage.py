"""A disk that runs full: nothing is taken that cannot be kept, and nothing is removed but what the owner allows."""

import contextlib
import hashlib
import subprocess
from collections.abc import Iterator
from typing import Any

from pivision import tokens
from tests import needs
from tests.appliance.pictures import noise, photograph
from tests.box import Answer, Box, eventually, free_port, running_box
from tests.webhook import listening

MB = 1_000_000
DISK_BYTES = 48 * MB
RESERVE_BYTES = 8 * MB
SIDE_PX = 365  # pictures of 0.4 MB


@contextlib.contextmanager
def on_small_disk(nr_inodes: int = 10_000, **settings: object) -> Iterator[Box]:
    """An appliance whose data folder is a small filesystem of its own."""
    with running_box(None, start=False, **settings) as box:
        mounted = subprocess.run(
            [
                "mount",
                "-t",
                "tmpfs",
                "-o",
                f"size={DISK_BYTES},mode=0700,nr_inodes={nr_inodes}",
                "pivision-test",
                box.data_dir,
            ],
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
    """Each is beyond the quota at once, and yet does not go before it is read."""
    with on_small_disk(disk_reserve_bytes=RESERVE_BYTES, images_max_bytes=1) as box:
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


def test_a_disk_that_something_else_fills_refuses_pictures_and_costs_none() -> None:
    """Seen: a stranger filled the disk, and retention removed 50 of the owner's 60 pictures for it."""
    port = free_port()
    with (
        listening(port) as webhook,
        on_small_disk(disk_reserve_bytes=RESERVE_BYTES, notice_url=f"http://127.0.0.1:{port}/") as box,
    ):
        finished = [box.post(noise(seed, SIDE_PX), "quality", wait=30).json for seed in range(20)]
        assert {task["state"] for task in finished} == {"done"}
        kept = box.images()
        fill(box)

        assert_full(box.post(photograph()))
        ready = box.get("/readyz")
        assert (ready.status, ready.json["checks"]["disk"]) == (503, "storage-full")
        while (notice := webhook.taken.get(timeout=40))["program"] != "disk":
            pass
        assert (notice["cause"], "storage-full" in notice["detail"]) == ("unhealed", True)
        assert box.pid("worker:worker_1")  # it has looked at the disk many times by now
        assert box.images() == kept
        assert {box.get(f"/v1/tasks/{task['id']}").status for task in finished} == {200}

        (box.data_dir / "filler").unlink()
        assert box.post(noise(100, SIDE_PX), "quality", wait=30).json["state"] == "done"
        assert box.images() > kept


def test_a_disk_that_takes_no_more_files_is_full() -> None:
    with on_small_disk(disk_reserve_bytes=0, nr_inodes=400) as box:
        finished = box.post(noise(1, SIDE_PX), "quality", wait=30).json
        assert finished["state"] == "done"
        small = 0
        with contextlib.suppress(OSError):
            for small in range(400):
                (box.data_dir / f"small-{small}").touch()
        assert small > 20

        ready = box.get("/readyz")
        assert (ready.status, ready.json["checks"]["disk"]) == (503, "storage-full")
        assert_full(box.post(photograph()))
        assert box.request("GET", f"/v1/tasks/{finished['id']}/image").status == 200

        for number in range(small):
            (box.data_dir / f"small-{number}").unlink()
        assert box.post(noise(2, SIDE_PX), "quality", wait=30).json["state"] == "done"


def test_beyond_the_quota_the_oldest_finished_go_and_never_waiting_ones() -> None:
    quota_bytes = 10 * MB
    with on_small_disk(disk_reserve_bytes=RESERVE_BYTES, images_max_bytes=quota_bytes) as box:
        finished = [box.post(noise(seed, SIDE_PX), "quality", wait=30).json for seed in range(40)]
        assert {task["state"] for task in finished} == {"done"}
        eventually(lambda: images_bytes(box) <= quota_bytes, "what is too much has gone", 30)
        assert images_bytes(box) > quota_bytes - 2 * MB, "no more goes than must"
        assert box.supervisorctl("stop", "worker:worker_1").returncode == 0
        waiting: list[dict[str, Any]] = []
        while (answer := box.post(noise(60 + len(waiting), SIDE_PX), "quality")).status == 201:
            waiting.append(answer.json)
        assert_full(answer)
        assert len(waiting) > 30

        assert box.supervisorctl("start", "worker:worker_1").returncode == 0
        waited = [box.finished(task["id"]) for task in waiting[-10:]]

        assert {task["state"] for task in waited} == {"done"}
        kept = [box.get(f"/v1/tasks/{task['id']}").status for task in [*finished, *waiting]]
        assert kept == sorted(kept, reverse=True), "the oldest go"
        eventually(lambda: images_bytes(box) <= quota_bytes, "what is too much has gone", 30)
        assert box.post(noise(1000, SIDE_PX), "quality", wait=30).json["state"] == "done"


def images_bytes(box: Box) -> int:
    """Of pictures, previews and drawings."""
    total = 0
    for file in (box.data_dir / "images").glob("*/*"):
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


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
