"""The webhook: what is sent, what counts as delivered, and how long an attempt may take, against real sockets."""

import contextlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivision.health.webhook import SECRET_LIMIT_BYTES, SIGNATURE_HEADER, Webhook
from tests.box import free_port
from tests.webhook import listening

LIMIT_SECONDS = 1.0


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    return tmp_path / "secrets" / "notice-secret"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_nothing_is_delivered(secret_file: Path, status: int) -> None:
    with listening(free_port(), status) as webhook, listening(port := free_port()) as elsewhere:
        webhook.location = f"http://127.0.0.1:{port}/"
        fault = Webhook(f"http://127.0.0.1:{webhook.server_address[1]}/x", secret_file).post(b"{}")
        assert f"answered {status}" in fault
        assert "redirect" in fault
        assert elsewhere.requests.empty()


@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_2xx_has_taken_it(secret_file: Path, status: int) -> None:
    with listening(free_port(), status) as webhook:
        assert Webhook(f"http://127.0.0.1:{webhook.server_address[1]}", secret_file).post(b"{}") == ""


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503])
def test_another_status_has_not(secret_file: Path, status: int) -> None:
    with listening(free_port(), status) as webhook:
        fault = Webhook(f"http://127.0.0.1:{webhook.server_address[1]}/", secret_file).post(b"{}")
        assert fault == f"answered {status}"


def test_no_proxy_of_the_environment_is_asked(secret_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(free_port()) as webhook, listening(port := free_port()) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        assert Webhook(f"http://127.0.0.1:{webhook.server_address[1]}/", secret_file).post(b"{}") == ""
        assert proxy.requests.empty()


def test_the_signature_is_that_of_the_published_example(secret_file: Path) -> None:
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries: secret, payload, signature."""
    secret_file.parent.mkdir()
    secret_file.write_text("It's a Secret to Everybody\n")
    with taking() as (port, taken):
        Webhook(f"http://127.0.0.1:{port}/", secret_file).post(b"Hello, World!")
    assert (
        f"{SIGNATURE_HEADER}: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17".lower()
        in b"".join(taken).decode().lower()
    )


def test_without_a_secret_it_is_not_signed_and_a_new_one_counts_at_once(secret_file: Path) -> None:
    with listening(free_port()) as webhook:
        hook = Webhook(f"http://127.0.0.1:{webhook.server_address[1]}/", secret_file)
        hook.post(b"{}")
        assert SIGNATURE_HEADER not in webhook.requests.get(timeout=10)[1]
        secret_file.parent.mkdir()
        secret_file.write_bytes(b"k" * SECRET_LIMIT_BYTES)
        hook.post(b"{}")
        assert SIGNATURE_HEADER in webhook.requests.get(timeout=10)[1]


@pytest.mark.parametrize("damage", ["empty", "short", "folder", "gone"])
def test_nothing_is_sent_unsigned_where_a_secret_cannot_be_read(secret_file: Path, damage: str) -> None:
    secret_file.parent.mkdir()
    secret_file.write_bytes(b"k" * SECRET_LIMIT_BYTES)
    with listening(free_port()) as webhook:
        hook = Webhook(f"http://127.0.0.1:{webhook.server_address[1]}/", secret_file)
        hook.post(b"{}")
        webhook.requests.get(timeout=10)
        secret_file.unlink()
        if damage == "folder":
            secret_file.mkdir()
        elif damage == "gone":
            secret_file.parent.rmdir()
        else:
            secret_file.write_bytes(b"" if damage == "empty" else b"k" * (SECRET_LIMIT_BYTES - 1) + b"\n")
        assert hook.post(b"{}").startswith("notice-secret: ")
        assert webhook.requests.empty()


def test_a_name_and_a_password_of_the_address_are_sent(secret_file: Path) -> None:
    """RFC 7617, section 2: the example."""
    with listening(free_port()) as webhook:
        Webhook(f"http://Aladdin:open%20sesame@127.0.0.1:{webhook.server_address[1]}/", secret_file).post(b"{}")
        assert webhook.requests.get(timeout=10)[1]["Authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


def test_the_rest_of_the_address_arrives_as_it_was_written(secret_file: Path) -> None:
    with listening(free_port()) as webhook:
        Webhook(f"http://127.0.0.1:{webhook.server_address[1]}/a%20b/ä?x=%2F&y=1#z", secret_file).post(b"{}")
        assert webhook.requests.get(timeout=10)[0] == "POST /a%20b/%C3%A4?x=%2F&y=1"


@pytest.mark.parametrize("url", ["http://[", "http://127.0.0.1:99999/", "http:///x", "https://\u200b/"])
def test_an_address_that_is_none_is_a_fault_and_no_crash(secret_file: Path, url: str) -> None:
    hook = Webhook(url, secret_file)
    assert hook.post(b"{}")
    assert hook.host is None or isinstance(hook.host, str)


@contextlib.contextmanager
def taking(*pieces: bytes, pause_seconds: float = 0.0) -> Iterator[tuple[int, list[bytes]]]:
    """An other side that takes what it is sent and answers with these pieces, again and again while they last."""
    taken: list[bytes] = []
    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.settimeout(1.0)
                    while b"Hello, World!" not in b"".join(taken[-2:]) and not b"".join(taken).endswith(b"{}"):
                        taken.append(connection.recv(65536))
                    connection.settimeout(10)
                    for piece in pieces:
                        connection.sendall(piece)
                        is_over.wait(pause_seconds)
                    if pieces:
                        is_over.wait(10)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1], taken
        finally:
            is_over.set()
            thread.join(10)


ENDLESS = {
    "a byte now and then": ([b"HTTP/1.1 "] + [b"2"] * 1000, 0.1),
    "headers without an end": ([b"HTTP/1.1 200 OK\r\n"] + [b"X: y\r\n"] * 1000, 0.1),
    "it says go on for ever": ([b"HTTP/1.1 100 Continue\r\n\r\n"] * 1000, 0.1),
    "nothing": ([b""], 10.0),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_an_answer_without_an_end_is_given_up(secret_file: Path, name: str) -> None:
    pieces, pause_seconds = ENDLESS[name]
    with taking(*pieces, pause_seconds=pause_seconds) as (port, _):
        hook = Webhook(f"http://127.0.0.1:{port}/", secret_file, LIMIT_SECONDS)
        began = time.monotonic()
        assert hook.post(b"{}") == "no answer within 1 s"
        assert time.monotonic() - began < 2 * LIMIT_SECONDS
        threads = [thread for thread in threading.enumerate() if thread.name == "notice"]
        for thread in threads:
            thread.join(5)
            assert not thread.is_alive(), "its thread ends, too"


def test_a_large_answer_is_not_read(secret_file: Path) -> None:
    class Talking(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(10_000):
                    self.wfile.write(bytes(1 << 20))

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Talking) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        began = time.monotonic()
        assert Webhook(f"http://127.0.0.1:{server.server_address[1]}/", secret_file).post(b"{}") == ""
        assert time.monotonic() - began < 2
        server.shutdown()


def test_a_name_lookup_that_hangs_holds_one_thread_and_no_more(
    secret_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver that does not answer cannot be run here without root: the call of the C library is held instead."""
    lookup, answer = socket.getaddrinfo, threading.Event()

    def hanging(*arguments: object, **options: object) -> object:
        answer.wait(20)
        return lookup(*arguments, **options)  # type: ignore[arg-type]

    with listening(free_port()) as webhook:
        monkeypatch.setattr(socket, "getaddrinfo", hanging)
        hook = Webhook(f"http://localhost:{webhook.server_address[1]}/", secret_file, LIMIT_SECONDS)
        assert hook.post(b"{}") == "no answer within 1 s"
        assert hook.post(b"{}") == "the attempt before has not ended"
        assert len([thread for thread in threading.enumerate() if thread.name == "notice"]) == 1
        answer.set()
        assert hook.post(b"{}") == ""
        assert webhook.requests.qsize() == 1, "what was given up is not sent later"
