"""Connections that do nothing, or do it slowly, and more of them than there is room for."""

import contextlib
import http.client
import io
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.api.conftest import PATIENCE_SECONDS, Api, png, serving, stopped, wait_until_up
from tests.box import eventually

HEAD = b"POST /v1/tasks?operations=codes HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def hasty() -> Iterator[Api]:
    """A server that waits for nobody."""
    with serving(
        head_timeout_seconds=0.5,
        idle_timeout_seconds=0.5,
        transfer_window_seconds=0.5,
        min_transfer_bytes_per_second=100_000,
        max_upload_bytes=30_000_000,
        max_image_pixels=50_000_000,
    ) as api:
        yield api


def until_closed(connection: socket.socket) -> bytes:
    """What the server says until it closes the connection, which it must do soon."""
    connection.settimeout(PATIENCE_SECONDS)
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(65536):
            received += more
    return received


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        (b"", b""),
        (b"\r\n\r\n", b""),
        (b"GET /healthz HTTP/1.1\r\nHost", b"HTTP/1.1 408 "),
        (HEAD + b"Content-Length: 100\r\n\r\n", b"HTTP/1.1 401 "),
    ],
)
def test_what_comes_too_slowly_is_ended(hasty: Api, sent: bytes, line: bytes) -> None:
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=10) as connection:
        connection.sendall(sent)
        assert until_closed(connection).startswith(line)


def test_a_connection_between_two_requests_is_ended_without_a_word(hasty: Api) -> None:
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert until_closed(connection).endswith(b'{"status":"ok"}')


def test_an_upload_that_trickles_is_ended_and_leaves_nothing(hasty: Api) -> None:
    before = hasty.files()
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=10) as connection:
        connection.sendall(HEAD + f"Authorization: Bearer {hasty.token}\r\nContent-Length: 1000000\r\n\r\n".encode())
        connection.settimeout(0.01)
        received = b""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not received and time.monotonic() < give_up:
            connection.send(b"x")
            with contextlib.suppress(TimeoutError):
                received = connection.recv(12)
        assert received == b"HTTP/1.1 408"
    assert hasty.files() == before


def test_an_upload_that_keeps_the_pace_is_taken(hasty: Api) -> None:
    body = png() + bytes(999_000)
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=10) as connection:
        head = HEAD + f"Authorization: Bearer {hasty.token}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        connection.sendall(head)
        began = time.monotonic()
        for start in range(0, len(body), 50_000):
            connection.sendall(body[start : start + 50_000])
            time.sleep(0.1)  # half a megabyte in a second
        assert time.monotonic() - began > 1.5
        assert connection.recv(12) != b"HTTP/1.1 408"


def test_an_answer_that_is_not_read_is_given_up() -> None:
    size_px = (1500, 2000)
    with (
        stopped(
            transfer_window_seconds=0.5,
            min_transfer_bytes_per_second=100_000,
            max_upload_bytes=30_000_000,
            max_image_pixels=50_000_000,
        ) as api,
        api.program("pivision.server") as server,
    ):
        wait_until_up(api, server)
        task_id = api.post(bmp(*size_px)).json["id"]
        rss_bytes = psutil.Process(server.pid).memory_info().rss
        readers = []
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                reader = stack.enter_context(contextlib.closing(socket.socket()))
                reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                reader.connect(("127.0.0.1", api.port))
                head = f"GET /v1/tasks/{task_id}/image HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.token}\r\n\r\n"
                reader.sendall(head.encode())
                assert reader.recv(12) == b"HTTP/1.1 200"
                readers.append(reader)
            assert psutil.Process(server.pid).memory_info().rss - rss_bytes < 20_000_000  # of 180 MB that are asked for
            eventually(
                lambda: not has_images_open(server), "the answers that nobody reads are given up", PATIENCE_SECONDS
            )
            for reader in readers:
                assert len(until_closed(reader)) < 9_000_000
        assert api.get(f"/v1/tasks/{task_id}/image").body == bmp(*size_px)  # who reads gets all of it


def has_images_open(server: subprocess.Popen[bytes]) -> bool:
    return any("/images/" in file.path for file in psutil.Process(server.pid).open_files())


def bmp(width_px: int, height_px: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.effect_noise((width_px, height_px), 50).convert("RGB").save(file, "BMP")
    return _KEPT.setdefault((width_px, height_px), file.getvalue())


_KEPT: dict[tuple[int, int], bytes] = {}


# More than there is room for


@contextlib.contextmanager
def kept_open(api: Api) -> Iterator[http.client.HTTPConnection]:
    """An owner's connection that has shown its token."""
    with contextlib.closing(api.connect()) as connection:
        ask(api, connection)
        yield connection


def ask(api: Api, connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/v1/operations", headers=api.headers)
    answer = connection.getresponse()
    assert (answer.status, bool(answer.read())) == (200, True)


def strangers(stack: contextlib.ExitStack, api: Api, count: int, sent: bytes, source: str = "127.0.0.1") -> None:
    for _ in range(count):
        stranger = stack.enter_context(contextlib.closing(socket.socket()))
        stranger.bind((source, 0))
        stranger.settimeout(10)
        stranger.connect(("127.0.0.1", api.port))
        stranger.sendall(sent)


KINDS = {
    "idle": b"",
    "a slow head": b"GET / HTTP/1.1\r\nHost: x\r\nX: ",
    "a slow form": b"POST /v1/vision/detection HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
    "an answered request": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "answers that nobody reads": b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100,
}


@pytest.mark.parametrize("kind", KINDS)
def test_strangers_do_not_shut_the_owner_out(kind: str) -> None:
    with serving(max_connections=64, max_connections_per_address=32) as api:
        pid = next(each.pid for each in psutil.net_connections("tcp") if _listens(each, api.port))
        with kept_open(api) as owner, contextlib.ExitStack() as stack:
            for number in range(8):
                strangers(stack, api, 16, KINDS[kind], f"127.0.1.{number + 1}")
                ask(api, owner)  # on the connection that it has
                assert api.post(png()).status == 201  # and on a new one
            assert psutil.Process(pid).num_fds() < 64 + 64


def _listens(connection: object, port: int) -> bool:
    return bool(connection.laddr.port == port and connection.status == "LISTEN")  # type: ignore[attr-defined]


def test_one_address_takes_its_share_only() -> None:
    with serving(max_connections=64, max_connections_per_address=16) as api, contextlib.ExitStack() as stack:
        strangers(stack, api, 8, b"", "127.0.2.2")
        victims = [stack.enter_context(contextlib.closing(api.connect())) for _ in range(4)]
        for victim in victims:
            victim.request("GET", "/healthz")
            assert victim.getresponse().read() == b'{"status":"ok"}'
        strangers(stack, api, 100, b"", "127.0.3.3")
        for victim in victims:  # none of these had to go for the hundred
            victim.request("GET", "/healthz")
            assert victim.getresponse().read() == b'{"status":"ok"}'


def test_a_stream_that_is_refused_has_no_thread() -> None:
    with stopped() as api, api.program("pivision.server") as server:
        wait_until_up(api, server)
        before = threads(server)
        with contextlib.ExitStack() as stack:
            strangers(stack, api, 100, b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
            assert threads(server) == before
        assert api.get("/healthz").status == 200


def threads(server: subprocess.Popen[bytes]) -> int:
    return len(list(Path(f"/proc/{server.pid}/task").iterdir()))


def test_without_a_descriptor_left_accepting_pauses_and_goes_on() -> None:
    with stopped() as api, api.program("pivision.server") as server:
        wait_until_up(api, server)
        process = psutil.Process(server.pid)
        before = process.rlimit(psutil.RLIMIT_NOFILE)
        with contextlib.ExitStack() as stack:
            process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 5, before[1]))
            strangers(stack, api, 30, b"")
            eventually(lambda: "no connection can be accepted" in api.log(), "the server has run out", 10)
            used_seconds = sum(process.cpu_times()[:2])
            time.sleep(1)
            assert sum(process.cpu_times()[:2]) - used_seconds < 0.5  # it does not spin
            process.rlimit(psutil.RLIMIT_NOFILE, before)
            eventually(api.is_up, "it answers again", PATIENCE_SECONDS)
        assert server.poll() is None
