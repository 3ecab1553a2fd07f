"""Errors say what there is instead, name the setting and its number, and lead to /docs of this box."""

import contextlib
import json

import pytest

from tests.api.conftest import Api, assert_problem, form, png, serving


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/v1/task", "/v1/tasks"),
        ("/V1/Tasks", "/v1/tasks"),
        ("/v1/tasks/1/images", "/v1/tasks/{task_id}/image"),
        ("/v1/tasks/x", "/v1/tasks/{task_id}"),
        ("/v1/operation", "/v1/operations"),
        ("/health", "/healthz"),
        ("/doc", "/docs"),
        ("/openapi.yaml", "/openapi.json"),
    ],
)
def test_an_address_that_is_not_there_names_those_that_are_near(api: Api, path: str, near: str) -> None:
    problem = assert_problem(api.get(path), 404, "not-found")
    assert problem["detail"].startswith(f"there is nothing at {path!r}; did you mean ")
    assert near in problem["detail"].replace("?", "").split()
    assert "/docs on this box" in problem["remedy"]


def test_one_that_is_near_to_nothing_says_only_that(api: Api) -> None:
    path = "/" + "q" * 5000
    detail = assert_problem(api.get(path), 404, "not-found")["detail"]
    assert detail == f"there is nothing at {path[:120]!r}"


@pytest.mark.parametrize("path", ["/v1/vision", "/v1/vision/scene", "/v1/vision/face/recognize", "/v1/vision/custom"])
def test_clients_of_the_other_protocol_are_told_all_that_there_is(api: Api, path: str) -> None:
    body, headers = form(("image", png()))
    answer = api.request("POST", path, body, headers)
    assert (answer.status, answer.json["success"]) == (404, False)
    for name in ("detection", "face", "custom/{name}", "custom/list"):
        assert f"/v1/vision/{name}" in answer.json["error"]


def test_a_model_that_is_not_there_names_those_that_are(api: Api) -> None:
    body, headers = form(("image", png()))
    answer = api.request("POST", "/v1/vision/custom/nanodett", body, headers)
    assert answer.status == 404
    assert "there are: nanodet" in answer.json["error"]
    assert "did you mean 'nanodet'?" in answer.json["error"]
    query = 'operations=[{"name":"objects","params":{"model":"nano"}}]'
    answer = api.post(png(), query.replace('"', "%22"))
    assert "there are: nanodet" in answer.json["detail"]


@pytest.mark.parametrize(("method", "path", "takes"), [("PUT", "/v1/tasks", "GET"), ("GET", "/v1/vision/face", "POST")])
def test_a_method_that_does_not_fit_names_those_that_do(api: Api, method: str, path: str, takes: str) -> None:
    answer = api.request(method, path)
    assert answer.status == 405
    told = json.loads(answer.body)
    assert f"does not take {method}; it takes " in (detail := told.get("detail") or told["error"])
    assert takes in detail
    assert takes in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("operations", "says"),
    [
        ("cods", "did you mean 'codes'?"),
        ('[{"name":"codes","params":{"format":[]}}]', "there are: formats; did you mean 'formats'?"),
        ('[{"name":"codes","params":{"formats":["QR"]}}]', "it is one of Aztec, "),
        ('[{"name":"markers","params":{"dictionaries":["x"]}}]', "it is one of "),
        ('[{"name":"codes","parameters":{}}]', "has `name` and `params`"),
    ],
)
def test_what_is_wrong_in_operations_names_what_is_right(api: Api, operations: str, says: str) -> None:
    body, headers = form(("image", png()), ("operations", operations))
    assert says in api.request("POST", "/v1/tasks", body, headers).json["detail"]


@pytest.mark.parametrize("wait", ["20.5", "-1", "nan", "inf", "1e9"])
def test_wait_names_its_setting_and_its_number(api: Api, wait: str) -> None:
    problem = assert_problem(api.post(png(), f"operations=codes&wait={wait}"), 400, "invalid-request")
    assert "from 0 to 20 (max_wait_seconds)" in problem["detail"]


def test_what_is_all_taken_names_its_setting_and_its_number() -> None:
    with serving(event_streams=1) as api, contextlib.closing(api.connect()) as stream:
        stream.request("GET", "/v1/events", headers=api.headers)
        answer = stream.getresponse()  # kept: the stream ends with it
        assert answer.status == 200
        detail = assert_problem(api.get("/v1/events"), 503, "too-many-streams")["detail"]
        assert detail == "all 1 places for event streams are taken (event_streams)"
