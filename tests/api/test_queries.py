"""Addresses are read strictly: nothing in one is dropped silently."""

import pytest

from tests.api.conftest import Api, assert_problem, form, png

PATHS = [
    "/",
    "/web/style.css",
    "/session",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/docs.css",
    "/v1/tasks",
    "/v1/operations",
    "/v1/system",
    "/v1/events",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_parameter_that_nobody_reads_is_refused(api: Api, path: str) -> None:
    for query in ("nonsense=1", "nonsense", "=1", "%E2%9C%93=1"):
        problem = assert_problem(api.get(f"{path}?{query}"), 400, "invalid-request")
        assert "there is no parameter" in problem["detail"]
    assert api.get("/healthz?").status == 200


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_so_are_those_of_one_task(api: Api, method: str) -> None:
    task_id = api.post(png()).json["id"]
    for path in {"GET": ["", "/image", "/preview", "/annotated"], "DELETE": [""], "POST": ["/retry"]}[method]:
        answer = api.request(method, f"/v1/tasks/{task_id}{path}?t=1")
        assert "'t'" in assert_problem(answer, 400, "invalid-request")["detail"]
    assert api.get(f"/v1/tasks/{task_id}").json["state"] == "queued"


def test_a_near_miss_is_named(api: Api) -> None:
    problem = assert_problem(api.get("/v1/tasks?limits=5"), 400, "invalid-request")
    assert problem["detail"] == (
        "there is no parameter 'limits' here; there are: limit, cursor, state, operation, source; did you mean 'limit'?"
    )
    assert "there is none" in api.get("/healthz?x=1").json["detail"]
    assert "did you mean 'operations'?" in api.post(png(), "operation=codes").json["detail"]


@pytest.mark.parametrize("query", ["limit=1&limit=2", "limit=1&limit=1", "state=done&state=queued", "source=a&source="])
def test_what_is_read_once_may_be_sent_once(api: Api, query: str) -> None:
    assert "2 times" in assert_problem(api.get(f"/v1/tasks?{query}"), 400, "invalid-request")["detail"]


def test_of_the_other_protocol_too_once_it_is_known_who_asks(api: Api) -> None:
    path = "/v1/vision/custom/list?min_confidence=0.5"
    assert api.request("POST", path).json == {
        "success": False,
        "error": "there is no parameter 'min_confidence' here; there is none",
        "code": 400,
        "duration": 0,
    }
    body, headers = form(("image", png()))
    assert api.request("POST", f"/v1/vision/detection?api_key={api.token}", body, headers).status == 400
    assert api.request("POST", path, headers={"Authorization": ""}).status == 401


@pytest.mark.parametrize("sent", ["%ff", "%00", "%c3", "%ed%a0%80", "a%00b", "%C0%AF"])
@pytest.mark.parametrize(
    "target", ["/{}", "/v1/tasks/{}", "/web/{}", "/v1/tasks?source={}", "/v1/tasks?{}=1", "/healthz?{}"]
)
def test_what_is_no_text_is_refused_in_the_path_and_in_the_query(api: Api, target: str, sent: str) -> None:
    problem = assert_problem(api.get(target.format(sent)), 400, "invalid-request")
    assert "NUL" in problem["detail"] or "not UTF-8" in problem["detail"]


@pytest.mark.parametrize("target", [b"/\xff", b"/v1/tasks?source=\xff", b"/v1/tasks?\xff"])
def test_so_it_is_when_it_is_not_escaped(api: Api, target: bytes) -> None:
    head = f"Host: x\r\nConnection: close\r\nAuthorization: Bearer {api.token}\r\n\r\n".encode()
    (answer,) = api.raw(b"GET " + target + b" HTTP/1.1\r\n" + head)
    assert answer.status == 400
