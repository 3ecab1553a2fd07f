"""What an address takes and gives, written beside the responder that does it; openapi.py makes the document of it.

The first line of the responder's docstring says what it does. Errors that any address may answer are not named there:
they are here.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from pivision.errors import (
    CrossSite,
    DatabaseBusy,
    DatabaseRecovering,
    DatabaseUnusable,
    Forbidden,
    HeaderTooLarge,
    HostUnknown,
    HttpVersionUnsupported,
    InvalidRequest,
    MediaTypeUnsupported,
    PiVisionError,
    RequestTimeout,
    StorageFull,
    StorageUnavailable,
    TooManyAttempts,
    TooManyUploads,
    Unauthorized,
    UploadTooLarge,
)

JSON = "application/json"
HTML = "text/html; charset=utf-8"
CSS = "text/css; charset=utf-8"
PICTURES = ("image/jpeg", "image/png", "image/webp", "image/bmp")

Bytes = Annotated[str, Meta(extra_json_schema={"format": "binary"})]
"""A file, in a form or as a body of its own."""

ERRORS_OF_HTTP: tuple[type[PiVisionError], ...] = (
    InvalidRequest,
    RequestTimeout,
    HeaderTooLarge,
    HttpVersionUnsupported,
    PiVisionError,
)
"""What the server may answer before it looks at the address: as a problem, whatever protocol is spoken there."""

ERRORS: tuple[type[PiVisionError], ...] = (*ERRORS_OF_HTTP, HostUnknown)
"""What any address may answer."""

ERRORS_OF_BODIES: tuple[type[PiVisionError], ...] = (
    UploadTooLarge,
    MediaTypeUnsupported,
    TooManyUploads,
    StorageFull,
)
"""What an address that takes a body may answer."""

ERRORS_OF_OPENING: tuple[type[PiVisionError], ...] = (DatabaseRecovering, DatabaseUnusable)
"""What an address may answer while the database is not open."""

ERRORS_OF_V1: tuple[type[PiVisionError], ...] = (
    Unauthorized,
    Forbidden,
    CrossSite,
    TooManyAttempts,
    DatabaseBusy,
    StorageUnavailable,
    *ERRORS_OF_OPENING,
)
"""What any address under /v1 may answer besides; one elsewhere that names all of them asks for the token, too."""


class Parameter(msgspec.Struct, frozen=True):
    """Something in the address or in a header."""

    name: str
    type: Any
    description: str
    place: Literal["query", "path", "header"] = "query"
    example: Any = None
    may_repeat: bool = False  # in the query: each counts


class Content(msgspec.Struct, frozen=True):
    """An answer or a body that is not, or not only, JSON of one type."""

    types: tuple[str, ...]
    type: Any = Bytes
    is_required: bool = True  # of a body


class Answer(msgspec.Struct, frozen=True):
    """An answer of which there is more to say than its type."""

    type: Any
    description: str = ""
    headers: Mapping[str, str] = {}  # what each says


UNCHANGED = Answer(None, "The client has it already, as its If-None-Match says.")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """All that is said of one method of an address, but for its docstring."""

    answers: Mapping[int, Any]  # by status: a type, told as JSON; a Content; an Answer of these; None: no body
    errors: tuple[type[PiVisionError], ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: tuple[Content, ...] = ()
    max_body_bytes: int | None = None  # None: as many as an upload may have
    note: str = ""  # what follows the docstring


_Responder = TypeVar("_Responder", bound=Callable[..., None])
_ATTRIBUTE = "endpoint"


def described(
    answers: Mapping[int, Any],
    *,
    errors: tuple[type[PiVisionError], ...] = (),
    parameters: tuple[Parameter, ...] = (),
    body: tuple[Content, ...] = (),
    max_body_bytes: int | None = None,
    note: str = "",
) -> Callable[[_Responder], _Responder]:
    """Attach an Endpoint to a responder; `on_head = on_get` takes it along."""
    endpoint = Endpoint(
        answers=answers, errors=errors, parameters=parameters, body=body, max_body_bytes=max_body_bytes, note=note
    )

    def attach(responder: _Responder) -> _Responder:
        setattr(responder, _ATTRIBUTE, endpoint)
        return responder

    return attach


def of(responder: Callable[..., None] | None) -> Endpoint | None:
    """What was attached; None if nothing was, or there is no responder."""
    found: Endpoint | None = getattr(responder, _ATTRIBUTE, None)
    return found
