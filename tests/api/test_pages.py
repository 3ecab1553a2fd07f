"""The dashboard's files are sent compressed, and again only when they have changed."""

import gzip

import pytest

from pivision.config import ROOT
from tests.api.conftest import Api, assert_problem

NAMES = sorted(file.name for file in (ROOT / "pivision" / "web").iterdir() if file.suffix not in (".py", ""))
WEIGHT_LIMIT_BYTES = 60_000


@pytest.mark.parametrize("path", ["/", *(f"/web/{name}" for name in NAMES)])
def test_a_file_is_sent_once(api: Api, path: str) -> None:
    plain = api.get(path)
    packed = api.request("GET", path, headers={"Accept-Encoding": "br, gzip"})
    assert (plain.status, packed.status) == (200, 200)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert plain.headers["ETag"] != packed.headers["ETag"]
    for answer, accepted in ((plain, "identity"), (packed, "gzip")):
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["Cache-Control"] == "private, no-cache"
        known = {"If-None-Match": answer.headers["ETag"], "Accept-Encoding": accepted}
        again = api.request("GET", path, headers=known)
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", answer.headers["ETag"])


def test_a_client_may_refuse_gzip(api: Api) -> None:
    assert "Content-Encoding" not in api.request("GET", "/", headers={"Accept-Encoding": "gzip;q=0"}).headers


@pytest.mark.parametrize("name", ["nothing.js", "__init__.py", "..%2Fpages.py", "%2e%2e"])
def test_what_is_no_file_of_the_dashboard_is_not_sent(api: Api, name: str) -> None:
    assert_problem(api.get(f"/web/{name}"), 404, "not-found")


def test_the_dashboard_is_light(api: Api) -> None:
    packed = (api.request("GET", f"/web/{name}", headers={"Accept-Encoding": "gzip"}).body for name in NAMES)
    assert sum(map(len, packed)) < WEIGHT_LIMIT_BYTES


def test_the_page_without_javascript_says_how_to_send_a_picture(api: Api) -> None:
    page = api.get("/").body.decode()
    assert "curl" in page.partition("<noscript>")[2]
