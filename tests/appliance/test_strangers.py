"""Clients that nobody knows, on a running appliance: they take no room, cost no picture, and health kills nobody."""

import contextlib
import socket
import threading

from tests.appliance.pictures import noise, photograph
from tests.appliance.test_storage import MB, RESERVE_BYTES, SIDE_PX, on_small_disk
from tests.box import Box, eventually, running_box

STRANGERS = 42
HEAD = b"POST /v1/tasks?operations=codes HTTP/1.1\r\nHost: x\r\n"


def upload(box: Box, stop: threading.Event) -> None:
    """Send a body without a token, again and again."""
    while not stop.is_set():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", box.port), timeout=5) as stranger:
            stranger.sendall(HEAD + b"Content-Length: 5000000\r\n\r\n")
            for _ in range(50):
                stranger.sendall(bytes(100_000))


def test_strangers_uploads_fill_no_disk_and_cost_no_picture() -> None:
    """Seen: 42 connections, 10 s, and 60 pictures of the owner were down to 10."""
    with on_small_disk(disk_reserve_bytes=RESERVE_BYTES) as box:
        finished = [box.post(noise(seed, SIDE_PX), "quality", wait=30).json for seed in range(20)]
        assert {task["state"] for task in finished} == {"done"}
        kept, server = box.images(), box.pid("server")
        stop = threading.Event()
        strangers = [threading.Thread(target=upload, args=(box, stop)) for _ in range(STRANGERS)]
        for stranger in strangers:
            stranger.start()
        try:
            for seed in range(20, 50):
                assert box.post(noise(seed, 100), "quality", wait=30).json["state"] == "done"
                assert box.get("/readyz").json["checks"]["disk"] == "ok"
        finally:
            stop.set()
            for stranger in strangers:
                stranger.join()
        assert kept <= box.images()
        assert box.pid("server") == server
        assert {box.get(f"/v1/tasks/{task['id']}").status for task in finished} == {200}


def test_an_owners_uploads_that_fill_the_disk_are_answered_and_not_cut_off() -> None:
    with on_small_disk(disk_reserve_bytes=0, max_upload_bytes=20 * MB) as box:
        (box.data_dir / "filler").write_bytes(bytes(20 * MB))
        with contextlib.ExitStack() as stack:
            first, second = (
                stack.enter_context(socket.create_connection(("127.0.0.1", box.port), timeout=30)) for _ in range(2)
            )
            for owner in (first, second):  # there is room for either, and not for both
                owner.sendall(HEAD + f"Authorization: Bearer {box.token}\r\nContent-Length: {18 * MB}\r\n\r\n".encode())
            first.sendall(bytes(14 * MB))
            with contextlib.suppress(ConnectionError):
                second.sendall(bytes(14 * MB))
            assert second.recv(12) == b"HTTP/1.1 507"
            assert box.get("/healthz").status == 200
        eventually(lambda: box.post(photograph()).status == 201, "what they held is free", 30)


def test_connections_that_do_nothing_make_health_kill_nobody() -> None:
    with running_box() as box, contextlib.ExitStack() as stack:
        server = box.pid("server")
        for sent in (b"", b"GET / HTTP/1.1\r\nX: ", HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 8000):
            for _ in range(170):
                stranger = stack.enter_context(socket.create_connection(("127.0.0.1", box.port), timeout=10))
                with contextlib.suppress(ConnectionError):
                    stranger.sendall(sent)
            assert box.post(photograph(), "quality", wait=30).json["state"] == "done"
        assert box.pid("server") == server
