"""What is refused by the head of a request: before a body is read, and so before a stranger has cost anything."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivision import tokens
from tests.api.conftest import MAX_UPLOAD_BYTES, PATIENCE_SECONDS, Api, assert_problem, form, png, serving, stopped
from tests.api.conftest import wait_until_up as until_up
from tests.box import Answer, eventually

LENGTH = b"Content-Length: 200000\r\n"


def sent(api: Api, head: bytes) -> Answer:
    """The answer to a head behind which nothing is sent; the connection is closed behind it."""
    (answer,) = api.raw(head + b"\r\n")
    assert answer.headers["Connection"] == "close"
    return answer


def with_token(api: Api) -> bytes:
    return b"Host: x\r\nAuthorization: Bearer " + api.token.encode() + b"\r\n"


@pytest.mark.parametrize("expectation", [b"", b"Expect: 100-continue\r\n"])
def test_a_stranger_is_refused_before_the_body_is_read(api: Api, expectation: bytes) -> None:
    for credentials in (b"", b"Authorization: Bearer wrong\r\n"):
        head = b"POST /v1/tasks?operations=codes HTTP/1.1\r\nHost: x\r\n" + LENGTH + expectation + credentials
        assert_problem(sent(api, head), 401, "unauthorized")


@pytest.mark.parametrize("framing", [LENGTH, b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize(
    ("request_line", "extra", "status", "code"),
    [
        (b"POST /nothing", b"", 404, "not-found"),
        (b"POST /v1/nothing", b"", 404, "not-found"),
        (b"PUT /v1/tasks", b"", 405, "method-not-allowed"),
        (b"POST /", b"", 405, "method-not-allowed"),
        (b"POST /v1/tasks", b"Content-Type: video/mp4\r\n", 415, "media-type-unsupported"),
        (b"POST /v1/tasks", b"Content-Encoding: gzip\r\n", 415, "media-type-unsupported"),
    ],
)
def test_an_owner_is_refused_by_the_head_too(
    api: Api, request_line: bytes, extra: bytes, framing: bytes, status: int, code: str
) -> None:
    answer = sent(api, request_line + b" HTTP/1.1\r\n" + with_token(api) + framing + extra)
    assert_problem(answer, status, code)
    assert ("Allow" in answer.headers) == (status == 405)


def test_what_is_too_large_by_its_length_is_refused_at_once(api: Api) -> None:
    head = b"POST /v1/tasks?operations=codes HTTP/1.1\r\n" + with_token(api)
    answer = sent(api, head + b"Content-Length: %d\r\n" % (MAX_UPLOAD_BYTES + 1))
    assert str(MAX_UPLOAD_BYTES) in assert_problem(answer, 413, "upload-too-large")["detail"]


def test_a_token_that_may_only_read_sends_nothing(api: Api) -> None:
    token = tokens.create(api.folder / "data" / "secrets", "reader", tokens.Scope.READ)
    head = b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token.encode() + b"\r\n" + LENGTH
    assert_problem(sent(api, head), 403, "forbidden")


def test_another_name_of_the_box_takes_nothing(api: Api) -> None:
    head = b"POST /v1/tasks HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer " + api.token.encode() + b"\r\n"
    assert_problem(sent(api, head + LENGTH), 421, "host-unknown")


def test_a_client_that_sends_all_of_it_can_read_the_refusal(api: Api) -> None:
    answer = api.request("POST", "/v1/tasks", bytes(6_000_000), {"Authorization": "Bearer wrong"})
    assert_problem(answer, 401, "unauthorized")


def test_an_answer_that_needs_no_body_is_given_without_it(api: Api) -> None:
    (answer,) = api.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + LENGTH + b"\r\n")
    assert (answer.status, answer.headers["Connection"]) == (200, "close")


@contextlib.contextmanager
def measured(**settings: object) -> Iterator[tuple[Api, subprocess.Popen[bytes]]]:
    """A server that can be looked at from outside."""
    with stopped(**settings) as api, api.program("pivision.server") as server:
        until_up(api, server)
        yield api, server


def spooled_bytes(server: subprocess.Popen[bytes]) -> int:
    """What the server has in files without a name."""
    total = 0
    for descriptor in Path(f"/proc/{server.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if str(descriptor.readlink()).endswith("(deleted)"):
                total += descriptor.stat().st_size
    return total


def test_strangers_bodies_take_no_room() -> None:
    head = b"POST /v1/tasks?operations=codes HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n"
    with measured(max_upload_bytes=6_000_000) as (api, server), contextlib.ExitStack() as stack:
        for _ in range(20):
            stranger = stack.enter_context(socket.create_connection(("127.0.0.1", api.port), timeout=10))
            stranger.sendall(head + bytes(200_000))
            stranger.sendall(bytes(800_000))
            assert stranger.recv(12) == b"HTTP/1.1 401"
        assert spooled_bytes(server) == 0
        known = stack.enter_context(socket.create_connection(("127.0.0.1", api.port), timeout=10))
        known.sendall(head[:-2] + f"Authorization: Bearer {api.token}\r\n\r\n".encode() + bytes(900_000))
        eventually(lambda: spooled_bytes(server) >= 800_000, "the body of the one with a token waits in a file", 10)


@pytest.fixture(scope="module")
def small() -> Iterator[Api]:
    """A server with room for two uploads from one address."""
    with serving(max_spool_bytes=5 << 20, max_spool_bytes_per_address=5 << 20, max_upload_bytes=1_500_000) as api:
        yield api


def test_uploads_beyond_the_spool_are_told_to_come_again(small: Api) -> None:
    body = png() + bytes(1_400_000)
    head = b"POST /v1/tasks?operations=codes HTTP/1.1\r\n" + with_token(small)
    head += b"Content-Length: %d\r\n\r\n" % len(body)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", small.port), timeout=10))
            slow.sendall(head.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
            assert slow.recv(100).startswith(b"HTTP/1.1 100")
            slow.sendall(body[:10])
        answer = small.post(body)
        assert "max_spool_bytes" in assert_problem(answer, 503, "too-many-uploads")["detail"]
        assert small.get("/healthz").status == 200
        assert small.post(png()).status == 201  # there is room for a small one
    eventually(lambda: small.post(body).status != 503, "there is room again", PATIENCE_SECONDS)


def test_a_full_disk_is_told_before_the_body_comes() -> None:
    with serving(disk_reserve_bytes=1 << 50) as api:
        assert_problem(sent(api, b"POST /v1/tasks HTTP/1.1\r\n" + with_token(api) + LENGTH), 507, "storage-full")


# DeepStack's clients put the key into the form

DETECTION = "/v1/vision/detection"


def refused(answer: Answer, status: int) -> bool:
    return (answer.status, answer.json["success"]) == (status, False)


@pytest.fixture(scope="module")
def forms() -> Iterator[Api]:
    """A server that reads little of a form without a key, and large pictures."""
    with serving(max_keyless_form_bytes=100_000, max_keyless_forms_bytes=250_000, max_upload_bytes=2_000_000) as api:
        yield api


def ask(api: Api, *parts: tuple[str, bytes | str]) -> Answer:
    body, headers = form(*parts)
    return api.request("POST", DETECTION, body, {**headers, "Authorization": ""})


def test_a_key_in_front_lets_a_large_picture_in(forms: Api) -> None:
    picture = png() + bytes(1_000_000)
    answer = ask(forms, ("api_key", forms.token), ("image", picture))
    assert answer.status in (400, 409), answer.body  # the token was good: there is no model
    assert answer.json["success"] is False
    assert refused(ask(forms, ("api_key", "wrong"), ("image", picture)), 401)


def test_a_key_behind_a_small_picture_counts(forms: Api) -> None:
    assert ask(forms, ("image", png()), ("api_key", forms.token)).status in (400, 409)
    assert refused(ask(forms, ("image", png()), ("api_key", "wrong")), 401)
    assert refused(ask(forms, ("image", png())), 401)


def test_a_form_without_a_key_is_read_within_its_budget(forms: Api) -> None:
    answer = ask(forms, ("image", png() + bytes(1_000_000)), ("api_key", forms.token))
    assert refused(answer, 401)
    assert "max_keyless_form_bytes" in answer.json["error"]


def test_forms_without_a_key_have_one_budget_together(forms: Api) -> None:
    head = f"POST {DETECTION} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n".encode()
    head += b"Content-Length: 900000\r\nExpect: 100-continue\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for expected in (b"100", b"100", b"503"):
            stranger = stack.enter_context(socket.create_connection(("127.0.0.1", forms.port), timeout=10))
            stranger.sendall(head)
            assert stranger.recv(12) == b"HTTP/1.1 " + expected
        refusal = ask(forms, ("image", png() + bytes(200_000)))
        assert refused(refusal, 503)
        assert "(max_keyless_forms_bytes)" in refusal.json["error"]
        # Who has a token does not depend on what strangers send.
        body, headers = form(("image", png()))
        assert forms.request("POST", DETECTION, body, headers).status in (400, 409)
