"""The description is true: it names every address, it is valid, and the server keeps to it whatever it is sent."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import falcon.inspect
import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks as of_openapi
from schemathesis.specs.openapi.definitions import OPENAPI_31

from pivision.api.app import create_app
from pivision.api.feed import Feed
from pivision.api.last_hour import LastHour
from pivision.api.routes import App
from pivision.api.waiting import Waiting
from pivision.config import Settings
from pivision.images import Images
from pivision.store import Store
from tests.api import test_deepstack
from tests.api.conftest import PATIENCE_SECONDS, Api, png, serving

_CHECKS = [
    of_openapi.status_code_conformance,
    of_openapi.content_type_conformance,
    of_openapi.response_schema_conformance,
    of_openapi.response_headers_conformance,
]
_MAY_BE_ANSWERED = {503, 507}  # of the server's errors: those that pass
_PICTURE = png()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    mine = Settings(data_dir=tmp_path_factory.mktemp("data"))
    images = Images(mine.images_dir, reserve_bytes=0)
    store = Store(mine.database)
    return create_app(mine, store, images, Waiting(seats=1), Feed(places=1), LastHour(store), ring_workers=lambda: None)


@pytest.fixture(scope="module")
def document(api: Api) -> dict[str, Any]:
    answer = api.request("GET", "/openapi.json", headers={"Authorization": ""})
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    found: dict[str, Any] = json.loads(answer.body)
    return found


def test_what_is_described_is_what_there_is(app: App, document: dict[str, Any]) -> None:
    there = {
        (method.method, re.sub(r":\w+}", "}", route.path))
        for route in falcon.inspect.inspect_routes(app)
        for method in route.methods
        if not method.internal
    }
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == there


def test_it_is_valid(document: dict[str, Any]) -> None:
    assert list(jsonschema_rs.validator_for(OPENAPI_31).iter_errors(document)) == []
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert named <= set(document["components"]["schemas"])


def test_each_parameter_of_a_path_is_described(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            told = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
            assert told == set(re.findall(r"{(\w+)}", path)), path


def test_each_operation_says_what_it_does_and_has_a_name_of_its_own(document: dict[str, Any]) -> None:
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert all(operation["summary"].endswith((".", "all")) for operation in operations)
    assert len({operation["operationId"] for operation in operations}) == len(operations)


class _Page(HTMLParser):
    """What a page is made of; complains of an element that is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_tells_of_every_address(api: Api, document: dict[str, Any]) -> None:
    answer = api.get("/docs")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    text = answer.body.decode()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method != "head":
                assert f'<section id="{operation["operationId"]}"><h2><span class="method">{method.upper()}' in text
                assert f"http://127.0.0.1:8080{path.partition('{')[0]}" in text
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in text


def test_the_page_is_whole_and_needs_nothing_that_browsers_would_refuse(api: Api) -> None:
    page = _Page(api.get("/docs").body.decode())
    assert page.open == []
    assert not page.tags & {"script", "style"}
    assert not [name for name, _ in page.attributes if name == "style" or name.startswith("on")]
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(set(ids)) == len(ids)
    links = {value for name, value in page.attributes if name == "href" and value}
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    style = api.get("/docs.css")
    assert "/docs.css" in links
    assert (style.status, style.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert b"prefers-color-scheme: dark" in style.body


def assert_is(document: dict[str, Any], name: str, told: Any) -> None:
    """What was told keeps to the schema of this name."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    assert list(jsonschema_rs.Draft202012Validator(schema).iter_errors(told)) == []


def test_a_finished_task_is_as_described(working: Api, document: dict[str, Any]) -> None:
    names = ("codes", "quality", "markers", "motion", "annotate")
    task = working.post(_PICTURE, f"operations={','.join(names)}&source=door&wait=20").json
    assert (task["state"], set(task["result"])) == ("done", set(names))
    assert_is(document, "Task", task)
    for name in names:
        del task["result"][name]["milliseconds"]
        with pytest.raises(AssertionError):
            assert_is(document, "Task", task)
        task["result"][name] = {"milliseconds": 1, "error": {"code": "operation-failed", "detail": "why"}}
        assert_is(document, "Task", task)


def test_what_deepstacks_clients_are_answered_is_as_described(document: dict[str, Any]) -> None:
    with serving() as api:
        api.install_model()
        with test_deepstack.working(api, test_deepstack.FOUND):
            found = test_deepstack.post(api, "/v1/vision/detection", ("image", test_deepstack.PICTURE))
        assert len(found.json["predictions"]) == 2
        assert_is(document, "Found", found.json)
        assert_is(document, "CustomModels", test_deepstack.post(api, "/v1/vision/custom/list").json)
        assert_is(document, "Refusal", test_deepstack.post(api, "/v1/vision/face").json)


@pytest.fixture(scope="module", autouse=True)
def _pictures() -> None:
    """Where the description asks for a file, a picture that can be looked at, or hardly anything."""
    pictures = st.sampled_from([_PICTURE, _PICTURE, _PICTURE[:50], b"no picture"])
    schemathesis.openapi.format("binary", pictures)
    for kind in ("jpeg", "png", "webp", "bmp"):
        schemathesis.openapi.media_type(f"image/{kind}", pictures)


def test_the_server_keeps_to_it_whatever_it_is_sent(working: Api, document: dict[str, Any]) -> None:
    """Requests that the description allows, and some that it does not, of every address."""
    working.post(_PICTURE, "operations=codes,quality,annotate&wait=20")
    url = f"http://127.0.0.1:{working.port}"
    described = schemathesis.openapi.from_url(f"{url}/openapi.json")
    endless = {path for path, methods in document["paths"].items() if "text/event-stream" in json.dumps(methods)}
    seen: dict[str, set[int]] = {}
    bodies: tuple[tuple[Any, str], ...] = (({"image": _PICTURE}, "multipart/form-data"), (_PICTURE, "image/png"))
    for body, kind in bodies:
        good = described["/v1/tasks"]["POST"].Case(query={"operations": "codes"}, body=body, media_type=kind)
        answer = good.call(headers=working.headers, timeout=PATIENCE_SECONDS)
        assert answer.status_code == 201, answer.text
        good.validate_response(answer, checks=_CHECKS)
    for found in described.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if operation.path in endless:
            continue
        for mode in _modes(operation):

            @settings(
                derandomize=True,
                max_examples=15,
                deadline=None,
                database=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(operation.as_strategy(generation_mode=mode))
            def send(case: Case[Any]) -> None:
                answer = case.call(headers=working.headers, timeout=PATIENCE_SECONDS)
                seen.setdefault(case.operation.label, set()).add(answer.status_code)
                assert answer.status_code < 500 or answer.status_code in _MAY_BE_ANSWERED, answer.text
                case.validate_response(answer, checks=_CHECKS)

            send()
    assert {400, 401, 422} <= seen["POST /v1/tasks"]
    assert {200, 400, 401} <= seen["GET /v1/tasks"]
    assert 400 in seen["POST /v1/vision/detection"]


def _modes(operation: APIOperation[Any, Any, Any, Any]) -> list[GenerationMode]:
    """Whether it can be asked wrongly at all."""
    takes = any(operation.iter_parameters()) or operation.body
    return [GenerationMode.POSITIVE, GenerationMode.NEGATIVE] if takes else [GenerationMode.POSITIVE]
