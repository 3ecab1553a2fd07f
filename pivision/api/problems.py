"""Errors as answers: RFC 9457 problem details with a stable `code`, whoever found the error."""

import logging
from typing import Any

import falcon
import msgspec

from pivision.api import deepstack_form
from pivision.api.routes import App
from pivision.errors import (
    HeaderTooLarge,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PiVisionError,
    StorageUnavailable,
    Unauthorized,
    UploadTooLarge,
    kind_of,
    may_pass,
)
from pivision.task import TaskError

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2

_OF_STATUS: dict[int, type[PiVisionError]] = {
    404: NotFound,
    405: MethodNotAllowed,
    413: UploadTooLarge,
    431: HeaderTooLarge,
}


class Problem(msgspec.Struct, frozen=True):
    """An error, as RFC 9457 tells it."""

    type: str  # a name for the code that is one in the whole world
    title: str  # what this kind of error means
    status: int
    code: str  # never changes
    detail: str  # what happened this time
    remedy: str
    retryable: bool  # whether the same request may succeed later


def body(error: PiVisionError, status: int) -> bytes:
    """The problem details of an error that is answered with `status`, as JSON."""
    return msgspec.json.encode(
        Problem(
            type=f"urn:pivision:error:{error.code}",
            title=error.title(),
            status=status,
            code=error.code,
            detail=str(error),
            remedy=error.remedy,
            retryable=error.retryable,
        )
    )


def status_line(status: int) -> str:
    """The status with its phrase, as HTTP has it."""
    return str(falcon.code_to_http_status(status))


def of_status(status: int, detail: str) -> PiVisionError:
    """The error of our tree for an HTTP status that Falcon or waitress came to by itself."""
    kind = _OF_STATUS.get(status, InvalidRequest if status < 500 else PiVisionError)
    return kind(detail)


def of_task(error: TaskError) -> PiVisionError:
    """The error of our tree that a task has ended with."""
    return kind_of(error.code)(error.detail)


def install(app: App) -> None:
    """Let `app` answer every error as a problem."""

    def not_found(req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]) -> None:
        _of_ours(req, resp, app.nothing_at(req.path), params)

    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(OSError, _of_the_system)
    app.add_error_handler(falcon.HTTPError, _of_falcon)
    app.add_error_handler(falcon.HTTPRouteNotFound, not_found)
    app.add_error_handler(falcon.HTTPMethodNotAllowed, _not_allowed)
    app.add_error_handler(PiVisionError, _of_ours)


def _of_ours(req: falcon.Request, resp: falcon.Response, error: PiVisionError, params: dict[str, Any]) -> None:
    _answer(req, resp, error, error.status)


def _answer(req: falcon.Request, resp: falcon.Response, error: PiVisionError, status: int) -> None:
    if deepstack_form.is_spoken_at(req.path):
        status = deepstack_form.status_for(status)
        resp.content_type, resp.data = falcon.MEDIA_JSON, deepstack_form.refusal(error, status)
    else:
        resp.content_type, resp.data = CONTENT_TYPE, body(error, status)
    resp.status = status
    if error.retryable:
        resp.set_header("Retry-After", str(RETRY_AFTER_SECONDS))
    if isinstance(error, Unauthorized):
        resp.set_header("WWW-Authenticate", "Bearer")


def _of_falcon(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: dict[str, Any]) -> None:
    for name, value in dict(error.headers or {}).items():
        resp.set_header(name, value)
    ours = of_status(error.status_code, error.description or error.title or "")
    _answer(req, resp, ours, error.status_code)


def _not_allowed(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPMethodNotAllowed, params: dict[str, Any]
) -> None:
    allowed = dict(error.headers or {})["Allow"]
    resp.set_header("Allow", allowed)
    _of_ours(
        req, resp, MethodNotAllowed(f"{req.path[:120]!r} does not take {req.method[:20]}; it takes {allowed}"), params
    )


def _of_the_system(req: falcon.Request, resp: falcon.Response, error: OSError, params: dict[str, Any]) -> None:
    if may_pass(error):
        _of_ours(req, resp, StorageUnavailable(error.strerror or type(error).__name__), params)
    else:
        _unexpected(req, resp, error, params)


def _unexpected(req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]) -> None:
    logging.getLogger("server").exception("%s %s", req.method, req.path)
    _answer(req, resp, PiVisionError("the server's log has the details"), PiVisionError.status)
