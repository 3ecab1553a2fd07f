"""Sessions and scopes, as browsers and programs meet them."""

import contextlib
import fcntl
import http.cookies
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivision import tokens
from pivision.store import gate
from pivision.tokens import Scope
from tests import needs
from tests.api.conftest import Api, assert_problem, form, png, serving
from tests.box import Answer, eventually

TWICE = b'{"token": "x", "token": "y"}'


def ask(api: Api, method: str, path: str, body: bytes | None = None, /, **headers: str) -> Answer:
    """One request with no token but what the headers say; names with _ for -."""
    with contextlib.closing(api.connect()) as connection:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())


def sign_in(api: Api, token: str, **headers: str) -> Answer:
    body = json.dumps({"token": token}).encode()
    return ask(api, "POST", "/session", body, **{"Content_Type": "application/json", **headers})


def cookie_of(answer: Answer) -> str:
    """What the browser sends back."""
    return answer.headers["Set-Cookie"].partition(";")[0]


def origin(api: Api) -> str:
    return f"http://127.0.0.1:{api.port}"


def scoped(api: Api, scope: Scope) -> str:
    return tokens.create(api.folder / "data" / "secrets", f"a-{scope}", scope)


def session_files(api: Api) -> set[str]:
    folder = api.folder / "data" / "secrets" / "sessions"
    return {file.name for file in folder.iterdir()} if folder.exists() else set()


def test_a_token_begins_a_session_and_the_cookie_goes_on(api: Api) -> None:
    answer = sign_in(api, api.token)
    assert (answer.status, answer.body) == (204, b"")
    (cookie,) = http.cookies.SimpleCookie(answer.headers["Set-Cookie"]).values()
    assert cookie.key == f"pivision_session_{api.port}"
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    assert (cookie["max-age"], cookie["domain"]) == (str(30 * 86400), "")
    sent = cookie_of(answer)
    assert ask(api, "GET", "/v1/tasks", Cookie=sent).status == 200
    assert ask(api, "GET", "/session", Cookie=sent).json == {"name": "test", "scope": "admin"}
    assert ask(api, "GET", "/session", Cookie=sent[:-1]).status == 401
    assert ask(api, "GET", "/session", Cookie=sent.replace(str(api.port), "1")).status == 401


def test_signing_out_ends_it(api: Api) -> None:
    before = session_files(api)
    sent = cookie_of(sign_in(api, api.token))
    assert len(session_files(api) - before) == 1
    assert_problem(ask(api, "DELETE", "/session", Cookie=sent), 403, "cross-site")
    answer = ask(api, "DELETE", "/session", Cookie=sent, Origin=origin(api))
    assert answer.status == 204
    assert "expires=Thu, 01 Jan 1970" in answer.headers["Set-Cookie"]
    assert session_files(api) == before
    assert_problem(ask(api, "GET", "/v1/tasks", Cookie=sent), 401, "unauthorized")
    assert ask(api, "DELETE", "/session").status == 204


@pytest.mark.parametrize("headers", [{}, {"Sec_Fetch_Site": "none"}, {"Sec_Fetch_Site": "cross-site"}])
def test_opening_the_printed_address_begins_none_and_leads_to_the_page_that_asks(
    api: Api, headers: dict[str, str]
) -> None:
    before = session_files(api)
    answer = ask(api, "GET", f"/?token={api.token}", **headers)
    assert (answer.status, answer.headers["Location"]) == (303, f"/#token={api.token}")
    assert "Set-Cookie" not in answer.headers
    assert session_files(api) == before


@pytest.mark.parametrize(
    ("query", "location"),
    [("token=wrong", "/#token=wrong"), ("token=a%26b%0D%0Ax", "/#token=a%26b%0D%0Ax"), ("token=", "/"), ("token", "/")],
)
def test_a_wrong_address_leads_there_too(api: Api, query: str, location: str) -> None:
    answer = ask(api, "GET", f"/?{query}")
    assert (answer.status, answer.headers["Location"]) == (303, location)
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
    ],
)
def test_no_page_of_another_site_signs_in(api: Api, headers: dict[str, str]) -> None:
    answer = sign_in(api, api.token, **headers)
    assert_problem(answer, 403, "cross-site")
    assert "Set-Cookie" not in answer.headers
    assert sign_in(api, api.token, Origin=origin(api)).status == 204


def test_signing_in_again_keeps_the_session_and_with_another_token_ends_it(api: Api) -> None:
    sent = cookie_of(sign_in(api, api.token))
    before = session_files(api)
    assert cookie_of(sign_in(api, api.token, Cookie=sent)) == sent
    assert session_files(api) == before
    other = cookie_of(sign_in(api, scoped(api, Scope.READ), Cookie=sent))
    assert ask(api, "GET", "/session", Cookie=other).json["name"] == "a-read"
    assert ask(api, "GET", "/session", Cookie=sent).status == 401, "the browser has forgotten it, and so has the box"


def test_who_is_nobody_is_told_so(api: Api) -> None:
    assert_problem(ask(api, "GET", "/session"), 401, "unauthorized")
    assert_problem(sign_in(api, "wrong"), 401, "unauthorized")
    assert ask(api, "GET", "/session", Authorization=f"Bearer {api.token}").json["name"] == "test"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"token": 5}', b'{"token": "x", "y": 1}', b'{"token": "\xff"}', TWICE],
)
def test_what_is_no_sign_in_is_refused_and_not_repeated(api: Api, body: bytes) -> None:
    answer = ask(api, "POST", "/session", body, Content_Type="application/json")
    assert_problem(answer, 400, "invalid-request")


def test_a_sign_in_is_small(api: Api) -> None:
    answer = ask(api, "POST", "/session", b"x" * 4097, Content_Type="application/json")
    assert_problem(answer, 413, "upload-too-large")


def test_a_form_cannot_sign_in(api: Api) -> None:
    body = json.dumps({"token": api.token}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "x", ""):
        assert_problem(ask(api, "POST", "/session", body, Content_Type=kind), 400, "invalid-request")


def test_other_sites_can_do_nothing_with_the_cookie(api: Api) -> None:
    sent = cookie_of(sign_in(api, api.token))
    post = {"Cookie": sent, "Content_Type": "image/png"}
    foreign: list[dict[str, str]] = [
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": f"http://127.0.0.1:{api.port + 1}"},
        {"Origin": f"{origin(api)}.evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
    ]
    for headers in foreign:
        answer = ask(api, "POST", "/v1/tasks?operations=codes", png(), **post, **headers)
        assert_problem(answer, 403, "cross-site")
    for headers in ({"Origin": origin(api)}, {"Sec_Fetch_Site": "same-origin"}):
        assert ask(api, "POST", "/v1/tasks?operations=codes", png(), **post, **headers).status == 201
    assert ask(api, "GET", "/v1/tasks", Cookie=sent, Origin="http://evil.example").status == 200  # and cannot be read


def test_the_cookie_counts_for_forms_from_the_page_alone(api: Api) -> None:
    sent = cookie_of(sign_in(api, api.token))
    body, header = form(("x", "y"))
    kind = header["Content-Type"]
    path = "/v1/vision/custom/list"
    assert ask(api, "POST", path, body, Content_Type=kind, Cookie=sent).status == 403
    assert ask(api, "POST", path, body, Content_Type=kind, Cookie=sent, Origin=origin(api)).status == 200


def test_a_token_that_is_sent_counts_and_not_the_cookie(api: Api) -> None:
    sent = cookie_of(sign_in(api, api.token))
    assert ask(api, "GET", "/v1/tasks", Cookie=sent, Authorization="Bearer wrong").status == 401
    reader = f"Bearer {scoped(api, Scope.READ)}"
    assert ask(api, "GET", "/session", Cookie=sent, Authorization=reader).json == {"name": "a-read", "scope": "read"}


def test_each_scope_may_what_it_says(api: Api) -> None:
    may = {}
    for scope in Scope:
        task_id = api.post(png()).json["id"]
        sent = {"Authorization": f"Bearer {scoped(api, scope)}"}
        asked = [
            ask(api, "GET", "/v1/tasks", **sent),
            ask(api, "HEAD", "/v1/tasks", **sent),
            ask(api, "POST", "/v1/tasks?operations=codes", png(), Content_Type="image/png", **sent),
            ask(api, "DELETE", f"/v1/tasks/{task_id}", **sent),
            ask(api, "POST", f"/v1/tasks/{task_id}/retry", **sent),
            *(
                ask(api, "DELETE", f"/v1/tasks/{task_id}?{query}", **sent)
                for query in ("remove=true", "remove=1", "remove")
            ),
        ]
        may[scope] = [answer.status != 403 for answer in asked]
        refused = [answer for answer in asked if answer.status == 403]
        needed = ["submit"] * 3 + ["admin"] * 3
        for answer, missing in zip(reversed(refused), reversed(needed), strict=False):
            assert f"'{missing}'" in assert_problem(answer, 403, "forbidden")["detail"]
    assert may == {
        Scope.READ: [True] * 2 + [False] * 6,
        Scope.SUBMIT: [True] * 5 + [False] * 3,
        Scope.ADMIN: [True] * 8,
    }


def test_a_camera_needs_the_scope_submit(api: Api) -> None:
    for scope, status in ((Scope.READ, 403), (Scope.SUBMIT, 200)):
        body, header = form(("api_key", scoped(api, scope)))
        answer = ask(api, "POST", "/v1/vision/custom/list", body, Content_Type=header["Content-Type"])
        assert answer.status == status
        assert answer.json["success"] is (status == 200)


def test_a_session_has_the_scope_of_its_token_and_ends_with_it(api: Api) -> None:
    sent = cookie_of(sign_in(api, scoped(api, Scope.READ)))
    assert ask(api, "GET", "/session", Cookie=sent).json["scope"] == "read"
    answer = ask(api, "POST", "/v1/tasks?operations=codes", png(), Cookie=sent, Origin=origin(api))
    assert_problem(answer, 403, "forbidden")
    tokens.remove(api.folder / "data" / "secrets", "a-read")
    assert ask(api, "GET", "/session", Cookie=sent).status == 401


def test_sessions_outlive_the_server() -> None:
    with tempfile.TemporaryDirectory(prefix="pv-") as folder:
        api = Api(Path(folder))
        with api.program("pivision.server"):
            eventually(lambda: is_up(api), "the server answers")
            sent = cookie_of(sign_in(api, api.token))
        assert not is_up(api)
        with api.program("pivision.server"):
            eventually(lambda: is_up(api), "it answers again")
            assert ask(api, "GET", "/session", Cookie=sent).json["name"] == "test"


def test_a_session_ends_by_running_time_idle_or_not() -> None:
    with serving(session_idle_days=2 / 86400, session_days=6 / 86400) as api:
        idle, used = (cookie_of(sign_in(api, api.token)) for _ in range(2))
        began = time.monotonic()
        while ask(api, "GET", "/session", Cookie=used).status == 200:
            time.sleep(0.1)
        assert 5 < time.monotonic() - began < 20, "at the latest, however it was used"
        assert ask(api, "GET", "/session", Cookie=idle).status == 401
        idle = cookie_of(sign_in(api, api.token))
        time.sleep(2.1)
        assert ask(api, "GET", "/session", Cookie=idle).status == 401


def test_sign_ins_of_one_token_end_no_session_of_another() -> None:
    with serving() as api:
        sent = cookie_of(sign_in(api, scoped(api, Scope.READ)))
        for _ in range(110):
            assert sign_in(api, api.token).status == 204
        assert ask(api, "GET", "/session", Cookie=sent).status == 200
        assert len(session_files(api)) <= 51


def test_a_full_disk_at_the_sign_in_is_told(tmp_path: Path) -> None:
    with serving() as api:
        folder = api.folder / "data" / "secrets" / "sessions"
        folder.mkdir()
        with full(folder):
            assert_problem(sign_in(api, api.token), 507, "storage-full")
        assert sign_in(api, api.token).status == 204


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """A disk without a free byte at this folder. Skips where none can be mounted."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        needs.skip("root", "no file system can be mounted here")
    try:
        (folder / "filler").write_bytes(bytes(4096))
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_after_a_restart_the_owner_is_let_in_beside_one_who_guesses(tmp_path: Path) -> None:
    api = Api(tmp_path)
    mine = {"Authorization": f"Bearer {api.token}"}
    with api.program("pivision.server"):
        eventually(lambda: is_up(api), "the server answers")
        eventually(lambda: ask(api, "GET", "/v1/tasks", **mine).status == 200, "its database is open")
    with api.program("pivision.server"):
        eventually(
            lambda: _status(api, Authorization="Bearer wrong") == 429, "a client that guesses is slowed down", 20
        )
        assert ask(api, "GET", "/session", **mine).json["name"] == "test"


def _status(api: Api, **headers: str) -> int:
    with contextlib.suppress(OSError):
        return ask(api, "GET", "/session", **headers).status
    return 0


def test_guesses_count_on_when_the_database_has_opened(tmp_path: Path) -> None:
    api = Api(tmp_path)
    mine = {"Authorization": f"Bearer {api.token}"}
    lock = os.open(gate.lock_file(tmp_path / "data" / "pivision.db"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)  # as while another program checks it
    with api.program("pivision.server"):
        eventually(lambda: _status(api, Authorization="Bearer wrong") == 429, "a client that guesses is slowed down")
        os.close(lock)
        began = time.monotonic()
        eventually(lambda: ask(api, "GET", "/docs", **mine).status == 200, "the database is open")
        answers = [_status(api, Authorization=f"Bearer wrong {number}") for number in range(30)]
        assert answers.count(401) <= time.monotonic() - began + 2, "thirty at once, and not again"


def is_up(api: Api) -> bool:
    with contextlib.suppress(OSError):
        return api.get("/healthz").status == 200
    return False


def test_who_guesses_is_slowed_down_and_who_has_a_token_is_not() -> None:
    with serving() as api:
        late = scoped(api, Scope.READ)
        mine = {"Authorization": f"Bearer {api.token}"}
        assert ask(api, "GET", "/v1/tasks", **mine).status == 200
        for _ in range(40):
            assert ask(api, "GET", "/v1/tasks").status == 401, "no token is no wrong token"
        answers = [ask(api, "GET", "/v1/tasks", Authorization=f"Bearer wrong{number}") for number in range(80)]
        assert {answer.status for answer in answers[:30]} == {401}
        slowed = [answer for answer in answers if answer.status == 429]
        assert_problem(slowed[0], 429, "too-many-attempts")
        while ask(api, "GET", "/v1/tasks", Authorization="Bearer wrong").status != 429:
            pass
        assert ask(api, "GET", "/v1/tasks", Authorization=f"Bearer {late}").status == 429, "it is not even looked at"
        assert sign_in(api, late).status == 429
        assert ask(api, "GET", "/v1/tasks", **mine).status == 200
        assert ask(api, "GET", "/healthz").status == 200
        eventually(lambda: sign_in(api, late).status == 204, "a moment later it is", 10)


def test_where_nobody_is_asked_everybody_is_an_admin() -> None:
    with serving(auth="none") as api:
        assert ask(api, "GET", "/session").json == {"name": None, "scope": "admin"}
        assert sign_in(api, "whatever").status == 204
        assert ask(api, "GET", "/?token=whatever").status == 303
        assert ask(api, "DELETE", "/session").status == 204
        assert session_files(api) == set()
        post = "POST", "/v1/tasks?operations=codes", png()
        assert ask(api, *post).status == ask(api, *post, Origin=origin(api)).status == 201
        assert_problem(ask(api, *post, Origin="http://evil.example"), 403, "cross-site")


def test_the_log_and_the_files_name_neither_token_nor_cookie(api: Api) -> None:
    ask(api, "GET", f"/?token={api.token}")
    cookie = cookie_of(sign_in(api, api.token)).partition("=")[2]
    kept = b"".join(file.read_bytes() for file in api.folder.rglob("*") if file.is_file())
    for secret in (api.token, cookie):
        assert secret.encode() not in kept
        assert not [file for file in api.folder.rglob("*") if secret in file.name]
