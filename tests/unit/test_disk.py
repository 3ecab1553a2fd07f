"""What health says of the disk, by what a real server answers."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from pivision.health.disk import Disk


class Ready(http.server.BaseHTTPRequestHandler):
    """A server's /readyz."""

    answer = b""

    def do_GET(self) -> None:
        assert self.path == "/readyz"
        self.send_response(503)
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: object) -> None:
        pass


class Clock:
    """Goes on when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ready() -> Iterator[http.server.HTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ready)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_full_disk_is_one_complaint_until_it_has_been_well_for_a_while(ready: http.server.HTTPServer) -> None:
    clock = Clock()
    disk = Disk("127.0.0.1", ready.server_port, clock)

    def later(seconds: float, disk_check: str) -> str:
        clock.now += seconds
        Ready.answer = b'{"status": "not ready", "checks": {"disk": "%s"}}' % disk_check.encode()
        return disk.complaint()

    assert later(0, "ok") == ""
    assert later(1, "storage-full") == "", "it was asked a second ago"
    assert later(10, "storage-full").startswith("storage-full")
    assert later(10, "ok").startswith("storage-full"), "on the brink"
    assert later(10, "storage-full").startswith("storage-full")
    assert later(299, "ok").startswith("storage-full")
    assert later(10, "ok") == ""


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b'{"checks": {"database": "database-recovering"}}', b"\xff"])
def test_who_says_nothing_of_the_disk_changes_nothing(ready: http.server.HTTPServer, answer: bytes) -> None:
    Ready.answer = answer
    assert Disk("127.0.0.1", ready.server_port).complaint() == ""
    ready.server_close()
    assert Disk("127.0.0.1", ready.server_port).complaint() == ""
