"""HTTP itself: headers, methods, connections, and what waitress refuses before the API sees it."""

import contextlib
import json
import socket

import pytest

from tests.api.conftest import MAX_UPLOAD_BYTES, Api, assert_problem, png
from tests.box import Answer

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
HOST = b"Host: x\r\n"


def assert_safe(answer: Answer) -> None:
    expected = {**SAFE_HEADERS, **({"Cache-Control": "private, no-cache"} if "ETag" in answer.headers else {})}
    assert {name: answer.headers[name] for name in expected} == expected
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["Permissions-Policy"].startswith("camera=(self), ")
    assert "Server" not in answer.headers  # nobody needs to know


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/v1/tasks"),
        ("GET", "/v1/operations"),
        ("GET", "/v1/system"),
        ("POST", "/v1/tasks"),
        ("GET", "/nothing"),
        ("GET", "/v1/nothing"),
        ("DELETE", "/"),
        ("OPTIONS", "/"),
        ("OPTIONS", "/v1/tasks"),
        ("BREW", "/"),
    ],
)
def test_every_answer_has_safe_headers(api: Api, method: str, path: str) -> None:
    assert_safe(api.request(method, path))


def test_an_image_and_a_refused_token_have_them_too(api: Api) -> None:
    task_id = api.post(png()).json["id"]
    assert_safe(api.get(f"/v1/tasks/{task_id}/image"))
    assert_safe(api.request("GET", "/v1/tasks", headers={"Authorization": "Bearer wrong"}))


# What waitress refuses by itself.
REFUSED = {
    "too large by its length": (
        b"POST /session HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999\r\n\r\n", 413, "upload-too-large",
    ),
    "headers too large": (
        b"GET / HTTP/1.1\r\n" + HOST + b"X-Long: " + b"x" * 262_144 + b"\r\n\r\n", 431, "header-too-large",
    ),
    "a wrong length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: ten\r\n\r\n", 400, "invalid-request"),
    "two lengths": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "invalid-request",
    ),
    "no request line": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, "invalid-request"),
    "a wrong header": (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "invalid-request"),
    "a wrong chunk": (
        b"POST /session HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "invalid-request",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_waitress_refuses_is_a_problem_too(api: Api, name: str) -> None:
    sent, status, code = REFUSED[name]
    (answer,) = api.raw(sent)
    assert_problem(answer, status, code)
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize("name", REFUSED)
def test_what_waitress_refuses_has_safe_headers_too(api: Api, name: str) -> None:
    (answer,) = api.raw(REFUSED[name][0])
    assert_safe(answer)


@pytest.mark.parametrize("encoding", [b"gzip", b"gzip, chunked", b"identity"])
def test_a_transfer_encoding_that_is_not_known(api: Api, encoding: bytes) -> None:
    (answer,) = api.raw(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: " + encoding + b"\r\n\r\n")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["status"] == answer.status
    assert answer.status in (400, 501)


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/v1/tasks", "/v1/operations", "/nothing"])
def test_head_has_no_body_and_leaves_the_connection_usable(api: Api, path: str) -> None:
    connection = api.connect()
    with contextlib.closing(connection):
        connection.request("HEAD", path, headers=api.headers)
        answer = connection.getresponse()
        assert answer.read() == b""
        assert answer.status in (200, 404, 405, 503)
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b'{"status":"ok"}'


def test_options_names_the_methods(api: Api) -> None:
    for path, methods in {
        "/": {"GET"},
        "/v1/tasks": {"GET", "POST"},
        "/v1/tasks/1": {"GET", "DELETE"},
        "/v1/tasks/1/retry": {"POST"},
    }.items():
        answer = api.request("OPTIONS", path)
        assert answer.status in (200, 204)
        assert methods <= set(answer.headers["Allow"].split(", "))
        assert answer.body == b""


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/v1/tasks"), ("DELETE", "/v1/tasks"), ("POST", "/"), ("TRACE", "/"), ("PATCH", "/v1/tasks/1")],
)
def test_a_method_that_does_not_fit(api: Api, method: str, path: str) -> None:
    answer = api.request(method, path)
    assert_problem(answer, 405, "method-not-allowed")
    assert method not in answer.headers["Allow"].split(", ")


@pytest.mark.parametrize("method", ["BREW", "get", "G\u00c4T".encode("latin-1").decode("latin-1"), "X" * 100])
def test_a_method_that_nobody_knows(api: Api, method: str) -> None:
    (answer,) = api.raw(method.encode("latin-1") + b" / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert 400 <= answer.status < 502
    assert answer.json["status"] == answer.status


@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/index.html", "/../etc/passwd", "/%2e%2e/etc/passwd"])
def test_an_address_that_is_not_there(api: Api, path: str) -> None:
    assert_problem(api.get(path), 404, "not-found")


def test_one_connection_serves_many_requests(api: Api) -> None:
    connection = api.connect()
    with contextlib.closing(connection):
        connection.connect()
        local = connection.sock.getsockname()
        for _ in range(20):
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b'{"status":"ok"}'
            connection.request("POST", "/v1/tasks?operations=codes", png(), api.headers)
            answer = connection.getresponse()
            assert answer.status == 201
            answer.read()
            connection.request("GET", "/v1/tasks/999999", headers=api.headers)  # an error does not end it, either
            answer = connection.getresponse()
            assert answer.status == 404
            answer.read()
            assert connection.sock.getsockname() == local


def test_requests_may_come_before_the_answers(api: Api) -> None:
    authorization = f"Authorization: Bearer {api.token}\r\n".encode()
    body = png("olive")
    task = b"POST /v1/tasks?operations=codes HTTP/1.1\r\n" + HOST + authorization
    task += b"Content-Length: %d\r\n\r\n" % len(body) + body
    asked = [
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
        task,
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /v1/operations HTTP/1.1\r\n" + HOST + authorization + b"\r\n",
        b"GET /nothing HTTP/1.1\r\n" + HOST + b"\r\n",
        task,
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
    ]
    answers = api.raw(b"".join(asked))
    assert [answer.status for answer in answers] == [200, 201, 200, 200, 404, 201, 200]
    assert answers[5].json["id"] == answers[1].json["id"] + 1


def test_a_request_may_come_byte_by_byte(api: Api) -> None:
    with socket.create_connection(("127.0.0.1", api.port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":
            connection.send(bytes([byte]))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_an_upload_that_breaks_off_leaves_nothing(api: Api) -> None:
    before = api.files(), api.store.counts()
    head = b"POST /v1/tasks?operations=codes HTTP/1.1\r\n" + HOST + f"Authorization: Bearer {api.token}\r\n".encode()
    assert api.raw(head + b"Content-Length: 1000\r\n\r\n" + png("teal")[:50]) == []
    assert (api.files(), api.store.counts()) == before


def test_http_1_0_is_answered(api: Api) -> None:
    (answer,) = api.raw(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert (answer.status, answer.body) == (200, b'{"status":"ok"}')


@pytest.mark.parametrize("size_bytes", [MAX_UPLOAD_BYTES + 1, MAX_UPLOAD_BYTES * 2, 3_000_000])
def test_who_sends_too_much_can_read_why_it_is_refused(api: Api, size_bytes: int) -> None:
    answer = api.request("POST", "/v1/tasks?operations=codes", bytes(size_bytes))
    assert_problem(answer, 413, "upload-too-large")
    assert api.get("/healthz").status == 200


def test_who_sends_too_much_without_saying_so_is_stopped(api: Api) -> None:
    before = api.files()
    try:
        answer = api.post(iter([bytes(100_000)] * 20))  # in chunks, and more than waitress itself takes
    except (BrokenPipeError, ConnectionResetError):
        pass  # cut off while it was still sending
    else:
        assert_problem(answer, 413, "upload-too-large")
    assert api.files() == before
    assert api.get("/healthz").status == 200


@pytest.mark.parametrize(("size_bytes", "line"), [(100, b"HTTP/1.1 100 Continue"), (3_000_000, b"HTTP/1.1 413 ")])
def test_who_asks_before_sending_is_told_at_once(api: Api, size_bytes: int, line: bytes) -> None:
    head = b"POST /v1/tasks?operations=codes HTTP/1.1\r\n" + HOST + f"Authorization: Bearer {api.token}\r\n".encode()
    with socket.create_connection(("127.0.0.1", api.port), timeout=30) as connection:
        connection.sendall(head + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % size_bytes)
        assert connection.recv(65536).startswith(line)


def test_the_refusal_names_the_limit(api: Api) -> None:
    answer = api.request("POST", "/v1/tasks?operations=codes", bytes(MAX_UPLOAD_BYTES * 2))
    problem = assert_problem(answer, 413, "upload-too-large")
    assert json.dumps(MAX_UPLOAD_BYTES) in problem["detail"]


def test_more_connections_than_there_is_room_for_shut_nobody_out(api: Api) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(700):  # 512 are taken; what follows waits until the server makes room
            stack.enter_context(socket.create_connection(("127.0.0.1", api.port), timeout=10))
        assert api.get("/healthz").status == 200
