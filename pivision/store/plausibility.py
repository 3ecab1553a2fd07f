"""What a row of unknown origin must be like in addition to what the table's own checks can tell."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

_Time = Annotated[str, Meta(max_length=40)]


class _Row(msgspec.Struct):
    """The texts of a row: no longer than PiVision writes them."""

    operations: Annotated[str, Meta(max_length=1 << 20)]
    created_at: _Time
    source: Annotated[str, Meta(max_length=1000)] | None = None
    idempotency_key: Annotated[str, Meta(max_length=1000)] | None = None
    result: str | None = None
    error_code: Annotated[str, Meta(max_length=100)] | None = None
    error_detail: Annotated[str, Meta(max_length=100_000)] | None = None
    started_at: _Time | None = None
    finished_at: _Time | None = None


class _Call(msgspec.Struct):
    name: Annotated[str, Meta(max_length=100)]
    params: dict[str, Any] = {}


class _Error(msgspec.Struct):
    code: str
    detail: str


class _Outcome(msgspec.Struct):
    """Of an operation: what every operation says, and what annotate says of its drawing."""

    milliseconds: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    error: _Error | None = None
    sha256: str = ""
    size_bytes: Annotated[int, Meta(ge=0, le=1 << 30)] = 0


class _Clock(msgspec.Struct):
    boot_id: Annotated[str, Meta(max_length=200)]
    boottime_seconds: Annotated[int, Meta(ge=0, le=1 << 40)]
    running_seconds: Annotated[int, Meta(ge=0, le=1 << 40)]


_OPERATIONS = msgspec.json.Decoder(list[_Call])
_RESULT = msgspec.json.Decoder(dict[str, _Outcome])


def is_row(row: dict[str, Any]) -> bool:
    """Whether everybody who reads tasks can read this one."""
    try:
        texts = msgspec.convert(row, _Row)
        _OPERATIONS.decode(texts.operations)
        if texts.result is not None:
            _RESULT.decode(texts.result)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


def is_clock(row: dict[str, object]) -> bool:
    """Whether the appliance can count on from here."""
    try:
        msgspec.convert(row, _Clock)
    except msgspec.ValidationError:
        return False
    return True
