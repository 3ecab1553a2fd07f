"""Every way to send a picture wrongly, what it is called, and that nothing of it stays on the disk."""

import json
import os
import struct
import urllib.parse
import zlib

import pytest

from tests.api.conftest import MAX_IMAGE_PIXELS, MAX_UPLOAD_BYTES, Api, assert_problem, form, png
from tests.api.test_uploads import PICTURE, jpeg


def bomb() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100_000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, body) for kind, body in parts)


def many_scans() -> bytes:
    """A progressive JPEG of 1000 x 1000 pixels and 10,000 scans: to be decoded for 10 s and more."""
    side = struct.pack(">HH", 1000, 1000)
    frame = b"\xff\xc2\0\x0b\x08" + side + b"\1\1\x11\0"
    return b"\xff\xd8" + frame + b"\xff\xda\0\x08\1\1\0\1\x3f\0" * 10_000 + b"\xff\xd9"


def of_pixels(count: int) -> bytes:
    return png(size=(1000, count // 1000))


DEEP = "[" * 4_000  # as deep as a head can bring it


def named(value: object) -> str:
    """A test's name that a person can read."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, list):
        return "+".join(name for name, _ in value[:4])
    return str(value)[:40]


@pytest.mark.parametrize(
    ("body", "query", "status", "code"),
    [
        (b"", "operations=codes", 422, "image-empty"),
        (jpeg()[:-10], "operations=codes", 422, "image-truncated"),
        (jpeg()[:100], "operations=codes", 422, "image-truncated"),
        (PICTURE[:-20], "operations=codes", 422, "image-truncated"),
        (PICTURE[:30] + b"X" + PICTURE[31:], "operations=codes", 422, "image-truncated"),
        (b"this is no photograph", "operations=codes", 415, "image-unsupported"),
        (b"GIF89a" + bytes(100), "operations=codes", 415, "image-unsupported"),
        (bomb(), "operations=codes", 413, "image-too-many-pixels"),
        (many_scans(), "operations=codes", 413, "image-too-complex"),
        (of_pixels(MAX_IMAGE_PIXELS + 1000), "operations=codes", 413, "image-too-many-pixels"),
        (os.urandom(MAX_UPLOAD_BYTES + 1), "operations=codes", 413, "upload-too-large"),
        (PICTURE, "", 400, "invalid-request"),
        (PICTURE, "operations=", 400, "invalid-request"),
        (PICTURE, "operations=codes,codes", 400, "invalid-request"),
        (PICTURE, "operations=%5B%22codes%22", 400, "invalid-json"),
        (PICTURE, f"operations=%5B%7B%22name%22:%22codes%22,%22params%22:%7B%22formats%22:{DEEP}", 400, "invalid-json"),
        (PICTURE, "operations=dreams", 422, "unknown-operation"),
        (PICTURE, "operations=%ff%fe", 400, "invalid-request"),
        (PICTURE, "operations=%00", 400, "invalid-request"),
        (PICTURE, 'operations=[{"name":"quality","params":{"shadow_level":"x"}}]', 422, "invalid-parameter"),
        (PICTURE, 'operations=[{"name":"quality","params":{"shadow_level":256}}]', 422, "invalid-parameter"),
        (PICTURE, 'operations=[{"name":"quality","params":{"level":1}}]', 422, "invalid-parameter"),
        (PICTURE, "operations=codes&source=", 400, "invalid-request"),
        (PICTURE, "operations=codes&source=" + "x" * 201, 400, "invalid-request"),
        (PICTURE, "operations=motion", 400, "invalid-request"),
        (PICTURE, "operations=annotate", 400, "invalid-request"),
        (PICTURE, "operations=codes,objects", 409, "model-missing"),
        (PICTURE, "operations=codes&wait=-1", 400, "invalid-request"),
        (PICTURE, "operations=codes&wait=20.1", 400, "invalid-request"),
        (PICTURE, "operations=codes&wait=soon", 400, "invalid-request"),
        (PICTURE, "operations=codes&wait=nan", 400, "invalid-request"),
        (PICTURE, "operations=codes&wait=inf", 400, "invalid-request"),
    ],
    ids=named,
)
def test_what_is_refused_is_named_and_leaves_nothing(api: Api, body: bytes, query: str, status: int, code: str) -> None:
    before = api.files(), api.store.counts()
    assert_problem(api.post(body, urllib.parse.quote(query, safe="=&%")), status, code)
    assert (api.files(), api.store.counts()) == before


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        ([("operations", "codes")], 422, "image-empty"),
        ([("image", b""), ("operations", "codes")], 422, "image-empty"),
        ([("image", PICTURE)], 400, "invalid-request"),
        ([("image", PICTURE), ("image", png("red")), ("operations", "codes")], 400, "invalid-request"),
        ([("image", PICTURE), ("operation", "codes")], 400, "invalid-request"),
        ([("image", PICTURE), ("operations", "dreams")], 422, "unknown-operation"),
        ([("image", PICTURE), ("operations", "motion,quality")], 400, "invalid-request"),
        ([("image", PICTURE), ("operations", "quality,objects"), ("source", "door")], 409, "model-missing"),
        ([("operations", "codes"), ("image", b"no picture")], 415, "image-unsupported"),
        ([("image", png("red")), ("operations", "x" * 70_000)], 400, "invalid-request"),
        ([("image", png("red")), ("operations", b"\xff\xfe")], 400, "invalid-request"),
        ([("image", png("red")), *[("source", "x")] * 30], 400, "invalid-request"),
    ],
    ids=named,
)
def test_a_wrong_form_is_named_and_leaves_nothing(
    api: Api, parts: list[tuple[str, bytes | str]], status: int, code: str
) -> None:
    before = api.files(), api.store.counts()
    body, headers = form(*parts)
    assert_problem(api.request("POST", "/v1/tasks", body, headers), status, code)
    assert (api.files(), api.store.counts()) == before


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "multipart/form-data"),
        (b"", "multipart/form-data; boundary=x"),
        (form(("image", PICTURE))[0], "multipart/form-data"),
        (form(("image", PICTURE))[0], "multipart/form-data; boundary=other"),
        (form(("image", PICTURE))[0][:-30], "multipart/form-data; boundary=----boundary"),
        (b"\r\n" * 1000, "multipart/form-data; boundary=x"),
        (form(("image", PICTURE))[0], "multipart/form-data; boundary=" + "x" * 100),
    ],
    ids=named,
)
def test_a_broken_form_is_a_problem(api: Api, body: bytes, content_type: str) -> None:
    before = api.files()
    answer = api.request("POST", "/v1/tasks?operations=codes", body, {"Content-Type": content_type})
    assert 400 <= answer.status < 500
    assert_problem(answer, answer.status, json.loads(answer.body)["code"])
    assert api.files() == before


def test_the_limits_themselves_are_allowed(api: Api) -> None:
    assert api.post(of_pixels(MAX_IMAGE_PIXELS)).status == 201
    largest = jpeg() + bytes(MAX_UPLOAD_BYTES - len(jpeg()))
    assert api.post(largest).status == 201
    body, headers = form(("image", largest), ("operations", "codes"))
    assert api.request("POST", "/v1/tasks", body, headers).status == 201, "max_upload_bytes is about the picture"


def test_a_body_too_large_without_a_length_is_refused_on_the_way(api: Api) -> None:
    before = api.files()
    answer = api.post(iter([os.urandom(100_000)] * 5))
    assert_problem(answer, 413, "upload-too-large")
    assert api.files() == before
