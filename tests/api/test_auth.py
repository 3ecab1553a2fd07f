"""Nothing under /v1 is said to anybody without a token, and everything else to everybody."""

import base64
from collections.abc import Iterator

import pytest

from pivision import tokens
from tests.api.conftest import Api, assert_problem, png, serving
from tests.box import Answer

ADDRESSES = [
    ("GET", "/v1/tasks"),
    ("POST", "/v1/tasks?operations=codes"),
    ("GET", "/v1/tasks/1"),
    ("DELETE", "/v1/tasks/1"),
    ("POST", "/v1/tasks/1/retry"),
    ("GET", "/v1/tasks/1/image"),
    ("GET", "/v1/tasks/1/annotated"),
    ("GET", "/v1/operations"),
    ("GET", "/v1/system"),
    ("GET", "/metrics"),
    ("GET", "//metrics/"),
    ("GET", "/v1/nothing/here"),  # nobody learns what is not there, either
    ("GET", "/v1/"),
    ("PATCH", "/v1/tasks"),
    ("HEAD", "/v1/tasks"),
    ("OPTIONS", "/v1/tasks"),
    ("BREW", "/v1/tasks"),
]


@pytest.fixture(scope="module", autouse=True)
def task(api: Api) -> None:
    """There is something to be seen."""
    assert api.post(png()).status == 201


def ask(api: Api, method: str, path: str, authorization: str | None) -> Answer:
    headers = {} if authorization is None else {"Authorization": authorization}
    connection = api.connect()
    try:
        connection.request(method, path, png() if method == "POST" else None, headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
def test_without_a_token_nothing_is_told(api: Api, method: str, path: str) -> None:
    answer = ask(api, method, path, None)
    if method == "HEAD":
        assert (answer.status, answer.body) == (401, b"")
    elif method == "BREW":
        assert answer.status in (400, 401)
    else:
        assert_problem(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "change",
    [
        lambda token: "",
        lambda token: "Bearer",
        lambda token: "Bearer ",
        lambda token: token,
        lambda token: f"Basic {token}",
        lambda token: "Basic " + base64.b64encode(f"user:{token}".encode()).decode(),
        lambda token: f"Bearer {token[:-1]}",
        lambda token: f"Bearer {token}x",
        lambda token: f"Bearer {token.swapcase()}",
        lambda token: f"Bearer {token} {token}",
        lambda token: f"Bearer\t{token}",
        lambda token: f"Bearer, Bearer {token}",
        lambda token: "Bearer " + "x" * 10_000,
        lambda token: "Bearer \u00e4\u00ff",
    ],
)
def test_a_wrong_token_is_none(api: Api, change: object) -> None:
    assert callable(change)
    assert_problem(ask(api, "GET", "/v1/tasks", change(api.token)), 401, "unauthorized")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_the_token_lets_in(api: Api, scheme: str) -> None:
    assert ask(api, "GET", "/v1/tasks", f"{scheme} {api.token}").status == 200


def test_the_token_is_no_query_parameter(api: Api) -> None:
    assert_problem(ask(api, "GET", f"/v1/tasks?token={api.token}", None), 401, "unauthorized")


# However the address is written: what leads to the tasks must lead past the guard.
@pytest.mark.parametrize(
    "target",
    [
        b"v1/tasks",
        b"v1/tasks/1/image",
        b"//v1/tasks",
        b"///v1//tasks",
        b"/v1//tasks",
        b"/v1/tasks/",
        b"/%76%31/tasks",
        b"/v1%2ftasks",
        b"/%2fv1/tasks",
        b"%2fv1/tasks",
        b"/./v1/tasks",
        b"/x/../v1/tasks",
        b"/V1/tasks",
        b"/v1/tasks;x",
        b"/v1/tasks#x",
        b"/v1",
        b"\\v1\\tasks",
        b"/\\v1/tasks",
        b"http://127.0.0.1/v1/tasks",
        b"http://127.0.0.1//v1/tasks",
        b"http:v1/tasks",
        b"x:v1/tasks",
    ],
)
def test_no_way_of_writing_the_address_leads_past_the_guard(api: Api, target: bytes) -> None:
    (answer,) = api.raw(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.status in (400, 401, 404), answer
    assert b"queued" not in answer.body
    assert b"PNG" not in answer.body


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz"])
def test_some_addresses_are_for_everybody(api: Api, path: str) -> None:
    assert ask(api, "GET", path, None).status in (200, 503)
    assert ask(api, "GET", path, "Bearer wrong").status in (200, 503)


def test_tokens_count_and_cease_to_count_at_once(api: Api) -> None:
    secrets_dir = api.folder / "data" / "secrets"
    phone = tokens.create(secrets_dir, "phone")
    assert ask(api, "GET", "/v1/tasks", f"Bearer {phone}").status == 200
    newer = tokens.create(secrets_dir, "phone")
    assert ask(api, "GET", "/v1/tasks", f"Bearer {phone}").status == 401
    assert ask(api, "GET", "/v1/tasks", f"Bearer {newer}").status == 200
    (secrets_dir / "tokens" / "phone").unlink()
    assert ask(api, "GET", "/v1/tasks", f"Bearer {newer}").status == 401


def test_a_refused_upload_leaves_nothing(api: Api) -> None:
    before = api.files()
    connection = api.connect()
    connection.request("POST", "/v1/tasks?operations=codes", png("red"))
    assert connection.getresponse().status == 401
    connection.close()
    assert api.files() == before


def test_the_log_names_no_token(api: Api) -> None:
    assert api.token not in api.log()


@pytest.fixture(scope="module")
def open_api() -> Iterator[Api]:
    """A server that asks nobody."""
    with serving(auth="none") as api:
        yield api


@pytest.mark.parametrize("authorization", [None, "Bearer wrong"])
def test_auth_none_lets_everybody_in(open_api: Api, authorization: str | None) -> None:
    assert ask(open_api, "GET", "/v1/tasks", authorization).status == 200
    assert ask(open_api, "POST", "/v1/tasks?operations=codes", authorization).status == 201
