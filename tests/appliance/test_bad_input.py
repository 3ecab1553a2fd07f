"""Whatever a client sends wrong is refused with the right status and code, and leaves nothing behind."""

import contextlib
import http.client
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import pytest

from tests.appliance.pictures import blank, photograph, png_bomb, scan_bomb
from tests.box import Answer, Box

LIMIT_BYTES = 1_000_000  # max_upload_bytes of the fixture `box`


def left_behind(box: Box) -> tuple[object, ...]:
    """All that an upload could leave: files, and rows. The database's own files come and go."""
    files = {path for path in box.data_dir.rglob("*") if path.is_file() and path.parent != box.data_dir}
    beside_database = {path.name for path in box.data_dir.iterdir() if not path.name.startswith("pivision.db-")}
    return files, beside_database, box.get("/v1/system").json["tasks"]


def calls(*entries: object) -> str:
    """Operations as JSON, for the query."""
    return quote(json.dumps(entries))


def form(*parts: tuple[str, bytes]) -> tuple[bytes, str]:
    """A multipart body and its content type."""
    lines = b"".join(
        b'--limit\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), content)
        for name, content in parts
    )
    return lines + b"--limit--\r\n", "multipart/form-data; boundary=limit"


def assert_refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["status"] == status
    assert answer.json["detail"]
    assert answer.json["remedy"]


@pytest.mark.parametrize(
    ("picture", "status", "code"),
    [
        pytest.param(b"", 422, "image-empty", id="zero bytes"),
        pytest.param(b"This is not a picture.\n" * 50, 415, "image-unsupported", id="text"),
        pytest.param(b"\xff\xd8\xff", 422, "image-truncated", id="three bytes of a JPEG"),
        pytest.param(photograph()[:20_000], 422, "image-truncated", id="truncated JPEG"),
        pytest.param(photograph()[:-2], 422, "image-truncated", id="JPEG without its end"),
        pytest.param(blank(100, 100)[:-20], 422, "image-truncated", id="truncated PNG"),
        pytest.param(blank(100, 100, ".webp")[:-1], 422, "image-truncated", id="truncated WebP"),
        pytest.param(blank(100, 100, ".bmp")[:-1], 422, "image-truncated", id="truncated BMP"),
        pytest.param(png_bomb(60_000), 413, "image-too-many-pixels", id="PNG bomb"),
        pytest.param(scan_bomb(7_000, 1_000), 413, "image-too-complex", id="JPEG that is decoded for minutes"),
        pytest.param(png_bomb(7_072), 413, "image-too-many-pixels", id="just over 50 million pixels"),
        pytest.param(bytes(LIMIT_BYTES + 1), 413, "upload-too-large", id="one byte over the limit"),
        pytest.param(bytes(60 * LIMIT_BYTES), 413, "upload-too-large", id="far over the limit"),
    ],
)
def test_a_bad_picture_is_refused(box: Box, picture: bytes, status: int, code: str) -> None:
    before = left_behind(box)
    assert_refused(send(box, picture, "image/jpeg"), status, code)
    body, content_type = form(("operations", b"codes"), ("image", picture))
    assert_refused(send(box, body, content_type), status, code)
    assert left_behind(box) == before


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        pytest.param("", 400, "invalid-request", id="no operation"),
        pytest.param("operations=smiles", 422, "unknown-operation", id="unknown operation"),
        pytest.param("operations=codes,codes", 400, "invalid-request", id="the same operation twice"),
        pytest.param("operations=" + quote('[{"name":'), 400, "invalid-json", id="bad JSON"),
        pytest.param("operations=" + quote('["codes"]]'), 400, "invalid-json", id="JSON and more"),
        pytest.param("operations=" + quote("[" * 5000), 400, "invalid-request", id="deep JSON"),
        pytest.param("operations=" + calls({"name": 1}), 400, "invalid-request", id="JSON of another shape"),
        pytest.param(
            "operations=" + calls({"name": "quality", "params": {"shadow_level": "dark"}}),
            422,
            "invalid-parameter",
            id="parameter of the wrong type",
        ),
        pytest.param(
            "operations=" + calls({"name": "quality", "params": {"shadow_level": 256}}),
            422,
            "invalid-parameter",
            id="parameter out of range",
        ),
        pytest.param(
            "operations=" + calls({"name": "quality", "params": {"shadow": 1}}),
            422,
            "invalid-parameter",
            id="unknown parameter",
        ),
        pytest.param(
            "operations=" + calls({"name": "codes", "params": {"formats": ["QR"]}}),
            422,
            "invalid-parameter",
            id="unknown format of codes",
        ),
        pytest.param("operations=codes&wait=soon", 400, "invalid-request", id="wait is no number"),
        pytest.param("operations=codes&wait=nan", 400, "invalid-request", id="wait is not a number"),
        pytest.param("operations=codes&wait=-1", 400, "invalid-request", id="wait is negative"),
        pytest.param("operations=codes&wait=1e9", 400, "invalid-request", id="wait is too long"),
        pytest.param("operations=codes&source=" + "x" * 201, 400, "invalid-request", id="source is too long"),
    ],
)
def test_a_bad_request_is_refused(box: Box, query: str, status: int, code: str) -> None:
    before = left_behind(box)
    assert_refused(box.request("POST", f"/v1/tasks?{query}", photograph()), status, code)
    assert left_behind(box) == before


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        pytest.param([("operations", b"codes")], 422, "image-empty", id="no image"),
        pytest.param([("image", photograph())], 400, "invalid-request", id="no operation"),
        pytest.param([("image", photograph()), ("picture", b"")], 400, "invalid-request", id="unknown part"),
        pytest.param([("image", photograph()), ("image", photograph())], 400, "invalid-request", id="two images"),
        pytest.param([("image", photograph()), ("operations", b"\xff")], 400, "invalid-request", id="no UTF-8"),
        pytest.param([("image", photograph()), ("operations", b'["codes"')], 400, "invalid-json", id="bad JSON"),
        pytest.param([("operations", b"codes")] * 17 + [("image", b"x")], 400, "invalid-request", id="many parts"),
    ],
)
def test_a_bad_form_is_refused(box: Box, parts: list[tuple[str, bytes]], status: int, code: str) -> None:
    before = left_behind(box)
    body, content_type = form(*parts)
    assert_refused(send(box, body, content_type, query=""), status, code)
    assert left_behind(box) == before


@pytest.mark.parametrize("size_bytes", [LIMIT_BYTES + 100_000, 60 * LIMIT_BYTES])
def test_an_upload_that_does_not_tell_its_length_is_held_to_the_limit_as_well(box: Box, size_bytes: int) -> None:
    before = left_behind(box)
    pieces = (bytes(100_000) for _ in range(size_bytes // 100_000))  # http.client sends these as chunks
    assert_refused(send(box, pieces, "image/jpeg"), 413, "upload-too-large")
    assert left_behind(box) == before


def test_a_form_that_is_cut_off_is_refused(box: Box) -> None:
    before = left_behind(box)
    body, content_type = form(("operations", b"codes"), ("image", photograph()))
    for length in (0, 10, 60, 130, 20_000, len(body) - 20):
        answer = send(box, body[:length], content_type, query="")
        assert answer.status in (400, 422), f"{length} bytes"
        assert answer.json["code"] in ("invalid-request", "image-empty", "image-truncated")
    assert left_behind(box) == before


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic {}", "{}", "Bearer {}x"])
def test_a_missing_or_wrong_token_is_refused_before_anything_is_looked_at(box: Box, authorization: str) -> None:
    before = left_behind(box)
    wrong = {"Authorization": authorization.format(box.token)}
    for method, path in (("POST", "/v1/tasks?operations=nonsense"), ("GET", "/v1/tasks/1"), ("GET", "/v1/nowhere")):
        answer = box.request(method, path, photograph() if method == "POST" else None, wrong)
        assert_refused(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert left_behind(box) == before


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nowhere", 404, "not-found"),
        ("GET", "/v1/tasks/987654321", 404, "task-not-found"),
        ("DELETE", "/v1/tasks/987654321", 404, "task-not-found"),
        ("POST", "/v1/tasks/987654321/retry", 404, "task-not-found"),
        ("GET", "/v1/tasks/0", 404, "not-found"),
        ("GET", "/v1/tasks/99999999999999999999", 404, None),  # more than SQLite can count
        ("GET", "/v1/tasks?cursor=-1", 400, "invalid-request"),
        ("GET", "/v1/tasks?limit=0", 400, "invalid-request"),
        ("GET", "/v1/tasks?state=lost", 400, "invalid-request"),
        ("PUT", "/v1/tasks", 405, "method-not-allowed"),
    ],
)
def test_a_bad_address_is_refused(box: Box, method: str, path: str, status: int, code: str | None) -> None:
    answer = box.request(method, path)
    assert_refused(answer, status, code or answer.json["code"])


def test_a_picture_of_just_the_limit_is_taken_whatever_its_form_adds(box: Box) -> None:
    picture = photograph()
    padding = b"\xff\xfe\xff\xff" + bytes(0xFFFD)  # the longest comment that a JPEG may have
    picture = picture[:2] + padding * 14 + picture[2:]
    rest = LIMIT_BYTES - len(picture)
    picture = picture[:2] + b"\xff\xfe" + (rest - 2).to_bytes(2, "big") + bytes(rest - 4) + picture[2:]
    assert len(picture) == LIMIT_BYTES

    assert send(box, picture, "image/jpeg").status == 201
    body, content_type = form(("operations", b"codes"), ("image", picture))
    assert send(box, body, content_type).status == 201


def test_after_all_that_the_server_has_not_stumbled(box: Box) -> None:
    assert box.post(photograph(), "quality", wait=30).json["state"] == "done"
    assert "Traceback" not in box.log("server")


def send(box: Box, body: bytes | Iterable[bytes], content_type: str, query: str = "?operations=codes") -> Answer:
    """Send as the clients in use do: who is refused in the middle of the upload stops sending and reads why."""
    connection = http.client.HTTPConnection("127.0.0.1", box.port, timeout=30)
    headers: dict[str, Any] = {"Authorization": f"Bearer {box.token}", "Content-Type": content_type}
    with contextlib.closing(connection):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request("POST", "/v1/tasks" + query, body, headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
