"""Forms as real clients send them, and those that a reader would have to guess at."""

import base64
import json
import urllib.parse
from typing import Any

import pytest

from tests.api.conftest import MAX_UPLOAD_BYTES, Api, assert_problem, form, png
from tests.api.test_uploads import PICTURE, jpeg
from tests.box import Answer

FILE = b'Content-Disposition: form-data; name="image"; filename="a.jpg"'
FORM = "multipart/form-data; boundary=BBB"
SOURCE = b'Content-Disposition: form-data; name="source"'


def send(api: Api, body: bytes, content_type: str = FORM, query: str = "?operations=codes") -> Answer:
    return api.request("POST", f"/v1/tasks{query}", body, {"Content-Type": content_type})


def parts(*heads_and_contents: tuple[bytes, bytes], boundary: bytes = b"BBB") -> bytes:
    body = b"".join(
        b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n" for head, content in heads_and_contents
    )
    return body + b"--" + boundary + b"--\r\n"


def picture(head: bytes) -> bytes:
    return parts((head, PICTURE))


HEADS = {
    "a name in Latin-1": FILE.replace(b"a.jpg", "Süd.jpg".encode("latin-1")),
    "a name in UTF-8": FILE.replace(b"a.jpg", "Süd ✓.jpg".encode()),
    "a name in RFC 5987": FILE.replace(b'filename="a.jpg"', b"filename*=UTF-8''S%C3%BCd.jpg"),
    "both names": FILE + b"; filename*=UTF-8'de'S%C3%BCd.jpg",
    "a name that no charset fits": FILE.replace(b"a.jpg", bytes(range(128, 256))),
    "a name that is quoted badly": FILE.replace(b"a.jpg", b'the "best".jpg'),
    "a path of Windows": FILE.replace(b"a.jpg", b"C:\\photos\\a.jpg"),
    "a folder of Windows": FILE.replace(b"a.jpg", b"C:\\photos\\"),
    "an escaped quote": FILE.replace(b"a.jpg", b'a\\"b;c.jpg'),
    "percent for a quote": FILE.replace(b"a.jpg", b"a%22b.jpg"),
    "no quotes": b"Content-Disposition: form-data; name=image; filename=a.jpg",
    "no name of a file": b'Content-Disposition: form-data; name="image"',
    "an empty name of a file": FILE.replace(b"a.jpg", b""),
    "no blank after the colon": FILE.replace(b": ", b":"),
    "no blank after the semicolon": FILE.replace(b"; ", b";"),
    "blanks around": FILE.replace(b"; name=", b" ;  name = ") + b"  ",
    "the name at last": b'Content-Disposition: form-data; filename="a.jpg"; name="image"',
    "another case": b'CONTENT-disposition: Form-Data; NAME="image"; FileName="a.jpg"',
    "a name of the part in RFC 5987": b"Content-Disposition: form-data; name*=utf-8''image; filename=a.jpg",
    "an escape in the name of the part": FILE.replace(b"image", b"im\\age"),
    "folded": FILE.replace(b"; ", b";\r\n\t"),
    "more headers": b"X-Other: 1\r\nContent-Length: 5\r\n"
    + FILE
    + b"\r\nContent-Type: image/jpeg\r\nContent-ID: <1@x>",
    "7bit": FILE + b"\r\nContent-Transfer-Encoding: 7bit",
    "8bit": FILE + b"\r\nContent-Transfer-Encoding:8BIT",
    "binary": b"Content-Transfer-Encoding: binary\r\nContent-Type: application/octet-stream\r\n" + FILE,
    "4 KB": FILE + b"\r\nX: " + b"x" * 4000,
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_heads_of_parts(api: Api, head: bytes) -> None:
    answer = send(api, picture(head))
    assert answer.status == 201, answer.body
    assert answer.json["image"]["size_bytes"] == len(PICTURE)


BOUNDARIES = {
    "all that RFC 2046 allows": ('"\'()+_,-./:=? x"', b"'()+_,-./:=? x"),
    "without quotes": ("'()+_,-./:=?", b"'()+_,-./:=?"),
    "of RFC 2046": ('"gc0pJq0M:08jU534c0p"', b"gc0pJq0M:08jU534c0p"),
    "seventy": ("x" * 70, b"x" * 70),
    "one": ("-", b"-"),
    "escaped": ('"a\\b"', b"ab"),
    "dashes": ("-" * 30, b"-" * 30),
}


@pytest.mark.parametrize(("written", "boundary"), BOUNDARIES.values(), ids=BOUNDARIES)
@pytest.mark.parametrize("before", ["multipart/form-data; boundary=", "Multipart/Form-Data;charset=utf-8; Boundary="])
def test_boundaries(api: Api, before: str, written: str, boundary: bytes) -> None:
    answer = send(api, parts((FILE, PICTURE), boundary=boundary), before + written)
    assert answer.status == 201, answer.body


BODIES = {
    "a preamble": b"This is for those who know no MIME.\r\n" + picture(FILE),
    "an empty line before": b"\r\n" + picture(FILE),
    "an epilogue": picture(FILE) + b"\r\nand more\n--BBB\r\n",
    "nothing behind the end": picture(FILE)[:-2],
    "padding": picture(FILE).replace(b"--BBB\r\n", b"--BBB \t \r\n"),
    "what looks like a boundary": parts((FILE, PICTURE + b"\r\n--BB\r\n--bbb\r\n-BBB\n--BBB")),
    "a field of no bytes": parts((FILE, PICTURE), (b'Content-Disposition: form-data; name="operations"', b"")),
    "nothing at all in a field": b"--BBB\r\n"
    + SOURCE.replace(b"source", b"operations")
    + b"\r\n"
    + b"\r\n"
    + picture(FILE),
    "sixteen parts": parts(*[(SOURCE, b"door")] * 15, (FILE, PICTURE)),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_what_stands_around_the_parts(api: Api, body: bytes) -> None:
    answer = send(api, body)
    assert answer.status == 201, answer.body


TEXTS = {
    "UTF-8": (b"", "Tür ✓".encode(), "Tür ✓"),
    "it says so": (b"\r\nContent-Type: text/plain; charset=UTF-8", "Tür ✓".encode(), "Tür ✓"),
    "Latin-1": (
        b'\r\nContent-Type: text/plain; charset="ISO-8859-1"\r\nContent-Transfer-Encoding: 8bit',
        b"T\xfcr",
        "Tür",
    ),
    "Windows": (b"\r\nContent-Type: text/plain;charset=windows-1252", b"\x80", "€"),
    "ASCII": (b"\r\nContent-Type: text/plain; charset=US-ASCII\r\nContent-Transfer-Encoding: 7bit", b"door", "door"),
    "as a file": (b"", b"door", "door"),
}


@pytest.mark.parametrize(("more", "sent", "means"), TEXTS.values(), ids=TEXTS)
def test_texts_in_the_charset_that_is_named(api: Api, more: bytes, sent: bytes, means: str) -> None:
    for head in (SOURCE, SOURCE + b'; filename="source.txt"'):
        answer = send(api, parts((head + more, sent), (FILE, PICTURE)))
        assert answer.json["source"] == means


def test_the_charset_of_the_form_counts(api: Api) -> None:
    """RFC 7578, section 4.6."""
    charset = b'Content-Disposition: form-data; name="_charset_"'
    answer = send(api, parts((charset, b"iso-8859-1"), (SOURCE, b"T\xfcr"), (FILE, PICTURE)))
    assert answer.json["source"] == "Tür"


NOT_FORMS = {
    "bare LF": picture(FILE).replace(b"\r\n", b"\n"),
    "bare LF in the head": picture(FILE + b"\nContent-Type: image/jpeg"),
    "bare CR in the head": picture(FILE + b"\rX: y"),
    "bare LF behind the boundary": picture(FILE).replace(b"--BBB\r\n", b"--BBB\n"),
    "NUL in the name": picture(FILE.replace(b"image", b"im\0age")),
    "NUL in the name of the file": picture(FILE.replace(b"a.jpg", b"a\0.jpg")),
    "NUL in a field": parts((SOURCE, b"do\0or"), (FILE, PICTURE)),
    "no UTF-8": parts((SOURCE, b"\xff"), (FILE, PICTURE)),
    "half a character": parts((SOURCE, b"\xe2\x9c"), (FILE, PICTURE)),
    "a surrogate": parts((SOURCE, b"\xed\xa0\x80"), (FILE, PICTURE)),
    "not the charset that it names": parts(
        (SOURCE + b"\r\nContent-Type: text/plain; charset=ascii", b"\xfc"), (FILE, PICTURE)
    ),
    "a charset of nobody": parts((SOURCE + b"\r\nContent-Type: text/plain; charset=klingon", b"x"), (FILE, PICTURE)),
    "a codec of Python": parts((SOURCE + b"\r\nContent-Type: text/plain; charset=punycode", b"x"), (FILE, PICTURE)),
    "base64": picture(FILE + b"\r\nContent-Transfer-Encoding: base64"),
    "quoted-printable": picture(FILE + b"\r\nContent-Transfer-Encoding: quoted-printable"),
    "no name": picture(b"Content-Disposition: form-data"),
    "no disposition": picture(b"Content-Type: image/jpeg"),
    "another disposition": picture(FILE.replace(b"form-data", b"attachment")),
    "no head": b"--BBB\r\n\r\n" + PICTURE + b"\r\n--BBB--\r\n",
    "two names": picture(FILE.replace(b"name=", b'name="source"; name=')),
    "two dispositions": picture(FILE + b"\r\n" + SOURCE),
    "a line that is no header": picture(FILE + b"\r\nhello"),
    "a blank before the colon": picture(FILE.replace(b":", b" :")),
    "a head without an end": b"--BBB\r\n" + FILE + b"\r\n" * 1 + b"X: " + b"x" * 10_000,
    "a head of 5 KB": picture(FILE + b"\r\nX: " + b"x" * 5000),
    "seventeen parts": parts(*[(SOURCE, b"door")] * 16, (FILE, PICTURE)),
    "no end": picture(FILE)[:-6],
    "half an end": picture(FILE)[:-3],
    "cut in the picture": picture(FILE)[:150],
    "cut in the head": picture(FILE)[:20],
    "two pictures": parts((FILE, PICTURE), (FILE, png("red"))),
    "a second file": parts((FILE, PICTURE), (FILE.replace(b"image", b"photo"), png("red"))),
    "a field of more than 64 KB": parts((SOURCE, b"x" * 65537), (FILE, PICTURE)),
}


@pytest.mark.parametrize("body", NOT_FORMS.values(), ids=NOT_FORMS)
def test_what_is_no_form_is_refused_and_leaves_nothing(api: Api, body: bytes) -> None:
    before = api.files(), api.store.counts()
    assert_problem(send(api, body), 400, "invalid-request")
    assert (api.files(), api.store.counts()) == before


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=BBB; boundary=CCC",
        "multipart/form-data; boundary=CCC",
        'multipart/form-data; boundary="BBB "',
        "multipart/form-data; boundary=" + "B" * 71,
        "multipart/form-data; boundary=\xfc",
    ],
)
def test_a_boundary_that_is_none(api: Api, content_type: str) -> None:
    assert_problem(send(api, picture(FILE), content_type), 400, "invalid-request")


def test_an_unknown_field_names_what_is_known_and_what_was_meant(api: Api) -> None:
    body, headers = form(("image", PICTURE), ("operation", "codes"))
    problem = assert_problem(api.request("POST", "/v1/tasks", body, headers), 400, "invalid-request")
    assert problem["detail"] == (
        "there is no field 'operation' here; there are: image, operations, source; did you mean 'operations'?"
    )


def test_the_limits_are_named_with_their_numbers(api: Api) -> None:
    large = jpeg() + bytes(MAX_UPLOAD_BYTES)
    for answer in (api.post(large), send(api, parts((FILE, large))), send_json(api, {"image": encoded(large)})):
        detail = assert_problem(answer, 413, "upload-too-large")["detail"]
        assert f"{MAX_UPLOAD_BYTES}" in detail
        assert "max_upload_bytes" in detail
    assert "16 parts" in send(api, NOT_FORMS["seventeen parts"]).json["detail"]
    assert "65536 bytes" in send(api, NOT_FORMS["a field of more than 64 KB"]).json["detail"]


# JSON


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def send_json(api: Api, body: Any, query: str = "?operations=codes", kind: str = "application/json") -> Answer:
    return send(api, body if isinstance(body, bytes) else json.dumps(body).encode(), kind, query)


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
@pytest.mark.parametrize(
    "image",
    [
        encoded(PICTURE),
        f"data:image/png;base64,{encoded(PICTURE)}",
        f"DATA:;BASE64,{encoded(PICTURE)}",
        f"data:image/png;name=photo.png;base64,{encoded(PICTURE)}",
    ],
    ids=["base64", "data: URL", "short", "with a name"],
)
def test_a_picture_in_json(api: Api, image: str, kind: str) -> None:
    content = {"source": "Tür \U0001f600", "image": image, "operations": ["codes", {"name": "quality", "params": {}}]}
    indented = json.dumps(content, ensure_ascii=False, indent=4)
    for body in (content, indented.encode(), indented.encode("utf-8-sig")):
        answer = send_json(api, body, "", kind)
        assert answer.status == 201, answer.body
        task = answer.json
        assert [operation["name"] for operation in task["operations"]] == ["codes", "quality"]
        assert task["source"] == "Tür \U0001f600"
        assert api.get(f"/v1/tasks/{task['id']}/image").body == PICTURE


def test_json_as_other_encoders_write_it(api: Api) -> None:
    """PHP escapes the slash, .NET the plus sign."""
    picture = jpeg() + bytes(range(256)) * 1000
    written = json.dumps({"operations": "codes,quality", "image": encoded(picture), "source": None}).encode()
    assert b"/" in written
    assert b"+" in written
    for body in (written.replace(b"/", b"\\/"), written.replace(b"+", b"\\u002B"), written.replace(b"A", b"\\u0041")):
        answer = send_json(api, body, "")
        assert answer.status == 201, answer.body
        assert api.get(f"/v1/tasks/{answer.json['id']}/image").body == picture
        assert answer.json["source"] is None


def test_the_largest_picture_fits_into_json(api: Api) -> None:
    largest = jpeg() + bytes(MAX_UPLOAD_BYTES - len(jpeg()))
    assert send_json(api, {"image": encoded(largest)}).json["image"]["size_bytes"] == MAX_UPLOAD_BYTES


NOT_JSON: dict[str, tuple[Any, int, str]] = {
    "nothing": (b"", 400, "invalid-json"),
    "no object": (b"[]", 400, "invalid-json"),
    "a picture": (PICTURE, 400, "invalid-json"),
    "no end": (json.dumps({"image": encoded(PICTURE)}).encode()[:-1], 400, "invalid-json"),
    "cut": (json.dumps({"image": encoded(PICTURE)}).encode()[:50], 400, "invalid-json"),
    "more behind": (json.dumps({"image": encoded(PICTURE)}).encode() + b"{}", 400, "invalid-json"),
    "a comma too many": (b'{"image": "' + encoded(PICTURE).encode() + b'",}', 400, "invalid-json"),
    "single quotes": (b"{'image': 5}", 400, "invalid-json"),
    "an escape of nobody": (b'{"image": "\\x"}', 400, "invalid-json"),
    "no image": ({"operations": ["codes"]}, 422, "image-empty"),
    "an empty object": ({}, 422, "image-empty"),
    "an empty image": ({"image": ""}, 422, "image-empty"),
    "an empty data: URL": ({"image": "data:image/png;base64,"}, 422, "image-empty"),
    "image is a number": ({"image": 5}, 400, "invalid-request"),
    "image is null": ({"image": None}, 400, "invalid-request"),
    "no base64": ({"image": "not base64!"}, 400, "invalid-request"),
    "line breaks": ({"image": base64.encodebytes(PICTURE).decode()}, 400, "invalid-request"),
    "url-safe": ({"image": "_-" + encoded(PICTURE)[2:]}, 400, "invalid-request"),
    "no padding": ({"image": encoded(PICTURE + bytes(2 - len(PICTURE) % 3)).rstrip("=")}, 400, "invalid-request"),
    "padding within": ({"image": "QQ==" + encoded(PICTURE)}, 400, "invalid-request"),
    "padding far within": ({"image": encoded(bytes(100_000)) + encoded(PICTURE)}, 400, "invalid-request"),
    "a data: URL without base64": ({"image": "data:image/png,%89PNG"}, 400, "invalid-request"),
    "an address": ({"image": "https://example.org/a.jpg"}, 400, "invalid-request"),
    "no picture": ({"image": encoded(b"no picture")}, 415, "image-unsupported"),
    "an unknown member": ({"image": encoded(PICTURE), "sauce": "x"}, 400, "invalid-request"),
    "NUL in a text": ({"image": encoded(PICTURE), "source": "a\0b"}, 400, "invalid-request"),
    "no UTF-8": (b'{"image": "' + encoded(PICTURE).encode() + b'", "source": "\xff"}', 400, "invalid-json"),
    "half a surrogate": (b'{"image": "' + encoded(PICTURE).encode() + b'", "source": "\\ud800"}', 400, "invalid-json"),
    "source is a number": ({"image": encoded(PICTURE), "source": 5}, 400, "invalid-request"),
    "operations is an object": ({"image": encoded(PICTURE), "operations": {"name": "codes"}}, 400, "invalid-request"),
    "twice": (b'{"source": "a", "source": "b"}', 400, "invalid-request"),
    "a long text": ({"source": "x" * 70_000}, 400, "invalid-request"),
    "a long name": ({"x" * 70_000: 1}, 400, "invalid-request"),
    "deep": (b'{"source": ' + b"[" * 60_000 + b"]" * 5_000, 400, "invalid-json"),
}


@pytest.mark.parametrize(("body", "status", "code"), NOT_JSON.values(), ids=NOT_JSON)
def test_wrong_json_is_named_and_leaves_nothing(api: Api, body: Any, status: int, code: str) -> None:
    before = api.files(), api.store.counts()
    assert_problem(send_json(api, body), status, code)
    assert (api.files(), api.store.counts()) == before


# application/x-www-form-urlencoded: curl says so of whatever it sends


URLENCODED = "application/x-www-form-urlencoded"


def test_where_there_is_no_file_a_plain_form_is_read(api: Api) -> None:
    fields = urllib.parse.urlencode({"api_key": api.token, "whatever": "ü"}).encode()
    for kind in (URLENCODED, "Application/X-WWW-Form-URLEncoded; charset=UTF-8"):
        answer = api.request("POST", "/v1/vision/custom/list", fields, {"Content-Type": kind, "Authorization": ""})
        assert answer.status == 200, answer.body
    answer = api.request(
        "POST", "/v1/vision/custom/list", b"api_key=wrong", {"Content-Type": URLENCODED, "Authorization": ""}
    )
    assert answer.status == 401


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"operations=codes", 422, "image-empty"),
        (b"operations=codes&source=a+door", 422, "image-empty"),
        (b"image=" + encoded(PICTURE).encode(), 400, "invalid-request"),
        (b"operation=codes", 400, "invalid-request"),
        (b"source=%ff", 400, "invalid-request"),
        (b"source=%00", 400, "invalid-request"),
        (b"source=" + b"x" * 300_000, 400, "invalid-request"),
        (b"no picture", 415, "image-unsupported"),
    ],
)
def test_a_plain_form_has_no_picture(api: Api, body: bytes, status: int, code: str) -> None:
    assert_problem(send(api, body, URLENCODED), status, code)
