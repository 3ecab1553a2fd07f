"""Requests that two programs could read differently, and those without an end: refused, and the connection closed."""

import contextlib
import socket
import time

import pytest

from tests.api.conftest import Api, assert_problem, png, serving

SECOND = b"GET /v1/operations HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
POST = b"POST /session HTTP/1.1\r\nHost: x\r\n"

AMBIGUOUS = {
    "two framings": (POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n", 400),
    "two framings the other way": (POST + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "chunked twice": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked in two lines": (POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n", 400),
    "chunked in HTTP/1.0": (b"POST /session HTTP/1.0\r\n" + CHUNKED + b"\r\n0\r\n\r\n", 400),
    "an unknown coding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "a folded line": (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", 400),
    "a folded line with a tab": (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n\tb\r\n\r\n", 400),
    "a folded first line": (b"GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
    "a host with a blank": (b"GET / HTTP/1.1\r\nHost: x y\r\n\r\n", 400),
    "a host with a path": (b"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", 400),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505),
    "HTTP/3": (b"GET / HTTP/3\r\nHost: x\r\n\r\n", 505),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "a blank too many": (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a length with a sign": (POST + b"Content-Length: +5\r\n\r\n", 400),
    "a length below zero": (POST + b"Content-Length: -5\r\n\r\n", 400),
    "a length in hexadecimal": (POST + b"Content-Length: 0x5\r\n\r\n", 400),
    "two equal lengths": (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400),
    "a list of lengths": (POST + b"Content-Length: 5, 5\r\n\r\n", 400),
    "an absurd length": (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
    "an empty length": (POST + b"Content-Length:\r\n\r\n", 400),
    "a NUL in a header": (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n", 400),
    "a CR in a header": (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n", 400),
    "a blank before the colon": (b"GET / HTTP/1.1\r\nHost: x\r\nX : a\r\n\r\n", 400),
    "an empty header name": (b"GET / HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n", 400),
    "lines that end with LF": (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "an address that is none": (b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "101 lines": (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 100 + b"\r\n", 431),
    "16 KB of head": (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 16384 + b"\r\n\r\n", 431),
    "16 KB of an address": (b"GET /" + b"y" * 16384 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
    "a chunk size that is none": (POST + CHUNKED + b"\r\nzz\r\n", 400),
    "a chunk size with a sign": (POST + CHUNKED + b"\r\n+1\r\nx\r\n0\r\n\r\n", 400),
    "an absurd chunk size": (POST + CHUNKED + b"\r\n" + b"f" * 17 + b"\r\n", 400),
    "a chunk that is longer": (POST + CHUNKED + b"\r\n1\r\nxx\r\n0\r\n\r\n", 400),
    "chunks with LF alone": (POST + CHUNKED + b"\r\n1\nx\n0\n\n", 400),
    "a long size line": (POST + CHUNKED + b"\r\n1;" + b"x" * 5000, 400),
    "a long size line with an end": (POST + CHUNKED + b"\r\n1;" + b"x" * 5000 + b"\r\nx\r\n0\r\n\r\n", 400),
    "long trailers": (POST + CHUNKED + b"\r\n0\r\n" + b"X: y\r\n" * 1000, 400),
    "a large chunk": (POST + CHUNKED + b"\r\nffffffff\r\n" + b"x" * 5000, 413),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_it_is_refused_and_what_follows_is_no_request(api: Api, name: str) -> None:
    sent, status = AMBIGUOUS[name]
    (answer,) = api.raw(sent + SECOND)
    codes = {400: "invalid-request", 413: "upload-too-large", 431: "header-too-large", 505: "http-version-unsupported"}
    assert_problem(answer, status, codes[status])
    assert answer.headers["Connection"] == "close"


def test_none_of_it_leaves_a_traceback(api: Api) -> None:
    for sent, _ in AMBIGUOUS.values():
        api.raw(sent)
    assert "Traceback" not in api.log()


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost:x\r\nX:\r\nY: \xe9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: y\r\n" * 99 + b"\r\n",
        b"GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.0\r\n\r\n",
    ],
)
def test_what_is_unusual_and_clear_is_answered(api: Api, head: bytes) -> None:
    (answer,) = api.raw(head)
    assert answer.status == 200


def test_a_body_in_chunks_arrives_whole_however_it_is_cut(api: Api) -> None:
    body = png("salmon")
    head = b"POST /v1/tasks?operations=codes HTTP/1.1\r\nHost: x\r\n" + CHUNKED
    head += f"Authorization: Bearer {api.token}\r\nConnection: close\r\n\r\n".encode()
    ones = b"".join(b'1 ;a="b"\r\n' + body[index : index + 1] + b"\r\n" for index in range(len(body)))
    whole = b"%X\r\n" % len(body) + body + b"\r\n"
    ids = []
    for chunks in (ones, whole):
        (answer,) = api.raw(head + chunks + b"0\r\nX-Trailer: yes\r\n\r\n")
        assert answer.status == 201, answer.body
        ids.append(api.get(f"/v1/tasks/{answer.json['id']}/image").body)
    with socket.create_connection(("127.0.0.1", api.port), timeout=30) as connection:
        for byte in head + whole + b"0\r\n\r\n":
            connection.send(bytes([byte]))
        assert connection.recv(12) == b"HTTP/1.1 201"
    assert ids == [body, body]


def test_a_size_line_without_an_end_costs_next_to_nothing() -> None:
    with serving() as api, contextlib.ExitStack() as stack:
        began = time.process_time()
        for _ in range(20):
            stranger = stack.enter_context(socket.create_connection(("127.0.0.1", api.port), timeout=10))
            stranger.sendall(POST + CHUNKED + b"\r\n1;")
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                stranger.sendall(b"x" * 12_000_000)
            assert stranger.recv(12) == b"HTTP/1.1 400"
        assert api.get("/healthz").status == 200
        assert time.process_time() - began < 60
