"""/openapi.json: the description of every address for programs, made of the routes and of what stands beside them."""

import functools
import http
import re
from collections.abc import Iterable
from typing import Any

import falcon
import msgspec

from pivision import __version__
from pivision.api import deepstack_form, endpoint, problems
from pivision.api.endpoint import Answer, Content, Endpoint, Parameter
from pivision.api.routes import App, Route
from pivision.errors import PiVisionError
from pivision.operations import OPERATIONS
from pivision.task import TaskError

_REF = "#/components/schemas/{name}"
_TOKEN = "token"  # noqa: S105  # what the way to be let in is called
_OF_TASK = "Task"

Json = dict[str, Any]


class OpenApi:
    """/openapi.json"""

    def __init__(self, app: App) -> None:
        self._app = app

    @functools.cached_property
    def document(self) -> Json:
        """Made when it is first asked for: then every address is there."""
        return describe(self._app.routes)

    @functools.cached_property
    def _encoded(self) -> bytes:
        return msgspec.json.encode(self.document)

    @endpoint.described({200: dict[str, Any]}, errors=endpoint.ERRORS_OF_OPENING)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """This description, as OpenAPI 3.1."""
        resp.data = self._encoded

    on_head = on_get


class _Failed(msgspec.Struct):
    """Why one operation has no result."""

    milliseconds: float
    error: TaskError
    warnings: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class _Timed(msgspec.Struct):
    """How long an operation took, and what the decoder has guessed where the image is damaged."""

    milliseconds: float
    warnings: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


def describe(routes: Iterable[Route]) -> Json:
    """The document. A route without an Endpoint is left out; a test tells."""
    found = [(route, of) for route in routes if (of := endpoint.of(route.responder))]
    schemas = _Schemas([each for _, of in found for each in _types(of)])
    paths: dict[str, Json] = {}
    for route, of in sorted(found, key=lambda each: each[0].path):
        path = re.sub(r":\w+}", "}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(path, route, of, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "PiVision",
            "version": __version__,
            "description": "Send a picture, name operations, read what is in it.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                _TOKEN: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`python -m pivision token make NAME` makes a token.",
                }
            },
        },
    }


class _Schemas:
    """JSON Schemas of all types at once, so that each has one name."""

    def __init__(self, types: list[Any]) -> None:
        types = [*types, problems.Problem, deepstack_form.Refusal, _Failed, _Timed]
        types += [each for operation in OPERATIONS.values() for each in (operation.params, operation.result)]
        schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
        self._of = dict(zip(map(repr, types), schemas, strict=True))
        self.components: Json = {name.lstrip("_"): schema for name, schema in _public(components).items()}
        self._fill_in_what_is_raw()

    def __getitem__(self, of: Any) -> Json:
        """The schema of a type that was named at the start."""
        schema: Json = _public(self._of[repr(of)])
        return schema

    def _fill_in_what_is_raw(self) -> None:
        """A task's operations and result are JSON that the server passes on: say what is in it."""
        of_task = self.components[_OF_TASK]["properties"]
        of_task["operations"] = {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "params"],
                "properties": {"name": {"type": "string"}, "params": {"type": "object"}},
            },
        }
        self.components["Result"] = {
            "title": "Result",
            "description": "One entry for each operation: what it has found, or why it has not.",
            "type": "object",
            "properties": {
                operation.name: {"anyOf": [{"allOf": [self[_Timed], self[operation.result]]}, self[_Failed]]}
                for operation in OPERATIONS.values()
            },
        }
        of_task["result"] = {"anyOf": [{"$ref": _REF.format(name="Result")}, {"type": "null"}]}


def _public(schema: Any) -> Any:
    """Without the underscore that says in Python that a name is a file's own."""
    return msgspec.json.decode(msgspec.json.encode(schema).replace(b"/schemas/_", b"/schemas/"))


def _types(of: Endpoint) -> Iterable[Any]:
    for answer in of.answers.values():
        content = answer.type if isinstance(answer, Answer) else answer
        if content is not None:
            yield content.type if isinstance(content, Content) else content
    yield from (parameter.type for parameter in of.parameters)
    yield from (content.type for content in of.body)


def _operation(path: str, route: Route, of: Endpoint, schemas: _Schemas) -> Json:
    summary, _, more = (route.responder.__doc__ or "").strip().partition("\n")
    has_body = route.method != "HEAD"
    operation: Json = {
        "operationId": "_".join([route.method.lower(), *re.findall(r"\w+", path)]),
        "summary": summary,
        "responses": {
            **{str(status): _answer(answer, status, schemas, has_body) for status, answer in of.answers.items()},
            **_refusals(path, of, schemas, has_body),
        },
    }
    if description := " ".join(f"{more} {of.note}".split()):
        operation["description"] = description
    if of.parameters:
        operation["parameters"] = [_parameter(each, schemas) for each in of.parameters]
    if of.body:
        contents = {media: {"schema": schemas[each.type]} for each in of.body for media in each.types}
        operation["requestBody"] = {"required": all(each.is_required for each in of.body), "content": contents}
    if set(endpoint.ERRORS_OF_V1) <= set(_errors(path, of)):
        may_be_in_form = deepstack_form.is_spoken_at(path)
        operation["security"] = [{_TOKEN: []}, {}] if may_be_in_form else [{_TOKEN: []}]
    return operation


def _parameter(parameter: Parameter, schemas: _Schemas) -> Json:
    told = {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "required": parameter.place == "path",
        "schema": schemas[parameter.type],
    }
    return told if parameter.example is None else {**told, "example": parameter.example}


def _answer(answer: Any, status: int, schemas: _Schemas, has_body: bool) -> Json:
    more = answer if isinstance(answer, Answer) else Answer(answer)
    told: Json = {"description": more.description or http.HTTPStatus(status).phrase}
    if more.headers:
        told["headers"] = {
            name: {"description": what, "schema": {"type": "string"}} for name, what in more.headers.items()
        }
    if has_body and more.type is not None:
        content = more.type if isinstance(more.type, Content) else Content((endpoint.JSON,), more.type)
        told["content"] = {media: {"schema": schemas[content.type]} for media in content.types}
    return told


def _errors(path: str, of: Endpoint) -> dict[type[PiVisionError], None]:
    """Each once, in order."""
    of_v1 = endpoint.ERRORS_OF_V1 if path.startswith("/v1/") else ()
    of_bodies = endpoint.ERRORS_OF_BODIES if of.body else ()
    return dict.fromkeys((*of.errors, *endpoint.ERRORS, *of_bodies, *of_v1))


def _refusals(path: str, of: Endpoint, schemas: _Schemas, has_body: bool) -> Json:
    """Every error by its status; a status of which an answer was described has its errors beside that."""
    is_deepstack = deepstack_form.is_spoken_at(path)
    by_status: dict[int, list[type[PiVisionError]]] = {}
    for kind in _errors(path, of):
        status = deepstack_form.status_for(kind.status) if is_deepstack else kind.status
        by_status.setdefault(status, []).append(kind)
    return {
        str(status): _refusal(sorted(of_status, key=lambda kind: kind.code), schemas, is_deepstack, has_body)
        for status, of_status in sorted(by_status.items())
        if status not in of.answers
    }


def _refusal(kinds: list[type[PiVisionError]], schemas: _Schemas, is_deepstack: bool, has_body: bool) -> Json:
    lines = [f"`{kind.code}`: {kind.title()} {kind.remedy}" for kind in kinds]
    told: Json = {"description": "\n\n".join(lines)}
    if any(kind.retryable for kind in kinds):
        told["headers"] = {
            "Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "string"}}
        }
    codes = {"properties": {"code": {"enum": [kind.code for kind in kinds]}}}
    problem = {problems.CONTENT_TYPE: {"schema": {"allOf": [schemas[problems.Problem], codes]}}}
    if has_body and is_deepstack:
        told["content"] = {endpoint.JSON: {"schema": schemas[deepstack_form.Refusal]}}
        if not set(endpoint.ERRORS_OF_HTTP).isdisjoint(kinds):
            told["content"] |= problem
    elif has_body:
        told["content"] = problem
    return told
