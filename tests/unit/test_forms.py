"""Forms and JSON read in pieces of every size: what comes out does not depend on how the bytes arrive."""

import base64
import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivision.api import multipart
from pivision.api.json_form import JsonForm
from pivision.errors import InvalidJson, InvalidRequest
from pivision.images import Readable

BOUNDARY = b"BBB"
CONTENT_TYPE = "multipart/form-data; boundary=BBB"
# What is in a form, with much that looks like a boundary.
CONTENTS = st.lists(st.sampled_from([b"\r\n", b"--", b"BBB", b"\r", b"\n", b"-", b"B", b"x" * 40, b"\0"])).map(b"".join)
CONTENTS = CONTENTS.filter(lambda content: b"\r\n--BBB" not in b"\r\n" + content)
SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=5)


class Pieces:
    """A stream whose reads return as much as they like."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        self._stream = io.BytesIO(content)
        self._sizes = sizes
        self._turn = 0

    def read(self, size: int, /) -> bytes:
        self._turn += 1
        return self._stream.read(min(size, self._sizes[self._turn % len(self._sizes)]))


def everything(stream: Readable, size: int) -> bytes:
    return b"".join(iter(lambda: stream.read(size), b""))


def read_form(stream: Readable, size: int) -> list[bytes]:
    return [everything(part, size) for part in multipart.parts(stream, CONTENT_TYPE)]


def read_json(stream: Readable, size: int) -> tuple[dict[str, object], bytes]:
    form, found, picture = JsonForm(stream), {}, b""
    for name in form.names():
        if name == "image":
            picture = everything(form.base64(), size)
        else:
            found[name] = json.loads(form.value(10_000))
    return found, picture


def count_form(stream: Readable) -> None:
    for part in multipart.parts(stream, CONTENT_TYPE):
        while part.read(256 * 1024):
            pass


def count_json(stream: Readable) -> None:
    form = JsonForm(stream)
    for _ in form.names():
        picture = form.base64()
        while picture.read(256 * 1024):
            pass


@given(contents=st.lists(CONTENTS, max_size=5), sizes=SIZES, asked=st.integers(1, 50), skipped=st.booleans())
def test_a_form_however_it_arrives(contents: list[bytes], sizes: list[int], asked: int, skipped: bool) -> None:
    head = b"\r\nContent-Disposition: form-data; name=x\r\n\r\n"
    body = b"preamble\r\n" + b"".join(b"--BBB" + head + content + b"\r\n" for content in contents) + b"--BBB--"
    read = [
        content if skipped and index % 2 else everything(part, asked)
        for (index, part), content in zip(
            enumerate(multipart.parts(Pieces(body, sizes), CONTENT_TYPE)), contents, strict=True
        )
    ]
    assert read == contents


@given(sizes=SIZES, cut=st.integers(0, 200))
def test_a_form_that_is_cut_off_anywhere_is_refused(sizes: list[int], cut: int) -> None:
    head = b"Content-Disposition: form-data; name=x"
    body = b"--BBB\r\n" + head + b"\r\n\r\n" + b"x" * 30 + b"\r\n--BBB\r\n" + head + b"\r\n\r\ny\r\n--BBB--"
    cut = min(cut, len(body) - 1)
    with pytest.raises(InvalidRequest):
        read_form(Pieces(body[:cut], sizes), 10)


@given(
    members=st.dictionaries(
        st.text(max_size=20), st.one_of(st.text(), st.integers(), st.lists(st.text() | st.none())), max_size=4
    ),
    picture=st.binary(max_size=300),
    sizes=SIZES,
    asked=st.integers(1, 100),
    options=st.sampled_from([{}, {"ensure_ascii": False}, {"indent": 3}, {"separators": (",", ":")}]),
    escape=st.sampled_from([(b"A", b"A"), (b"/", b"\\/"), (b"+", b"\\u002b"), (b"=", b"\\u003D")]),
)
def test_json_however_it_arrives(
    members: dict[str, object],
    picture: bytes,
    sizes: list[int],
    asked: int,
    options: dict[str, object],
    escape: tuple[bytes, bytes],
) -> None:
    members = {name: value for name, value in members.items() if name != "image"}
    encoded = base64.b64encode(picture).decode()
    written = json.dumps({**members, "image": "PICTURE", "last": 1}, **options)  # type: ignore[arg-type]
    body = written.encode("utf-8").replace(b"PICTURE", encoded.encode().replace(*escape))
    found, read = read_json(Pieces(body, sizes), asked)
    assert found == {**members, "last": 1}
    assert read == picture


@given(sizes=SIZES, cut=st.integers(0, 200))
def test_json_that_is_cut_off_anywhere_is_refused(sizes: list[int], cut: int) -> None:
    body = json.dumps(
        {"source": "a\\b", "image": base64.b64encode(bytes(50)).decode(), "operations": ["x", {}]}
    ).encode()
    with pytest.raises((InvalidJson, InvalidRequest)):
        read_json(Pieces(body[: min(cut, len(body) - 1)], sizes), 100)


class Endless:
    """Zeros, and how far it was read."""

    def __init__(self, begin: bytes, size: int, fill: bytes = b"A") -> None:
        self._begin = begin
        self._left = size
        self._fill = fill

    def read(self, size: int, /) -> bytes:
        if self._begin:
            begun, self._begin = self._begin, b""
            return begun
        taken = min(size, self._left)
        self._left -= taken
        return self._fill * taken


def test_memory_does_not_depend_on_the_size() -> None:
    size = 50_000_000
    head = b"--BBB\r\nContent-Disposition: form-data; name=image\r\n\r\n"
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest):
            count_form(Endless(head, size))
        with pytest.raises(InvalidJson):
            count_json(Endless(b'{"image": "', size))
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()
