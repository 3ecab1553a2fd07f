"""/v1/operations: what this machine can do."""

from pathlib import Path
from typing import Annotated

import falcon
import msgspec
from msgspec import UNSET, Meta, UnsetType

from pivision import abilities, models
from pivision.abilities import Abilities
from pivision.api.endpoint import described
from pivision.errors import PiVisionError
from pivision.models import Models
from pivision.models.model import Model
from pivision.operations import OPERATIONS, Operation, OperationCall

_Schema = Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})]  # a JSON Schema


class Obstacle(msgspec.Struct, frozen=True):
    """Why an operation cannot run now, in the words that a task would be answered."""

    code: str
    detail: str
    remedy: str


class ModelInfo(msgspec.Struct, frozen=True):
    """What a form shows of a model; licence and size are null for the owner's own."""

    name: str
    installed: bool
    family: str
    labels: int
    input_side_px: int
    licence: str | None
    size_bytes: int | None


class OperationInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What can be asked for; `model` and `models` only where models look."""

    name: str
    summary: str
    available: bool
    problem: Obstacle | None
    model: str | UnsetType | None = UNSET
    models: list[ModelInfo] | UnsetType = UNSET
    params: _Schema
    result: _Schema


class OperationList(msgspec.Struct, frozen=True):
    """Every operation, and the OpenCV that looks: null until a worker has told it."""

    opencv: str | None
    operations: list[OperationInfo]


class Operations:
    """/v1/operations"""

    def __init__(self, models: Models, run_dir: Path) -> None:
        self._models = models
        self._run_dir = run_dir
        self._schemas = {
            name: (_schema(operation.params), _schema(operation.result)) for name, operation in OPERATIONS.items()
        }

    @described({200: OperationList})
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Every operation: whether it can run now, with which models, and its JSON Schemas."""
        told = abilities.published(self._run_dir)  # each time: a model may have been installed since
        infos = [self._info(operation, told) for operation in OPERATIONS.values()]
        resp.data = msgspec.json.encode(OperationList(told.opencv if told else None, infos))

    on_head = on_get

    def _info(self, operation: Operation, told: Abilities | None) -> OperationInfo:
        """In the words that a task with the default parameters would get."""
        problem = None
        model = told.stand_ins.get(operation.name) if told else None  # nobody knows yet
        try:
            if chosen := abilities.require(OperationCall(operation.name, operation.params()), self._models, told):
                model = chosen.model.name
        except PiVisionError as error:
            model = None
            problem = Obstacle(error.code, str(error), error.remedy)
        has_models = operation.name in models.OPERATIONS
        params, result = self._schemas[operation.name]
        return OperationInfo(
            name=operation.name,
            summary=operation.summary,
            available=problem is None,
            problem=problem,
            model=model if has_models else UNSET,
            models=[self._described(each) for each in self._models.candidates(operation.name)] if has_models else UNSET,
            params=params,
            result=result,
        )

    def _described(self, model: Model) -> ModelInfo:
        return ModelInfo(
            name=model.name,
            installed=self._models.has(model),
            family=model.family,
            labels=len(model.labels),
            input_side_px=model.input_side_px,
            licence=model.origin.licence if model.origin else None,
            size_bytes=model.origin.size_bytes if model.origin else None,
        )


def _schema(of: type[msgspec.Struct]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(msgspec.json.schema(of)))
