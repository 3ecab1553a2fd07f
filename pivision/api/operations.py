"""/v1/operations: what this machine can do."""

from pathlib import Path
from typing import Any

import falcon
import msgspec

from pivision import abilities, models
from pivision.abilities import Abilities
from pivision.errors import PiVisionError
from pivision.models import Models
from pivision.models.model import Model
from pivision.operations import OPERATIONS, Operation, OperationCall


class Operations:
    """/v1/operations"""

    def __init__(self, models: Models, run_dir: Path) -> None:
        self._models = models
        self._run_dir = run_dir
        self._schemas = {
            name: {
                "params": msgspec.Raw(msgspec.json.encode(msgspec.json.schema(operation.params))),
                "result": msgspec.Raw(msgspec.json.encode(msgspec.json.schema(operation.result))),
            }
            for name, operation in OPERATIONS.items()
        }

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Every operation: whether it can run now, with which models, and its JSON Schemas."""
        told = abilities.published(self._run_dir)  # each time: a model may have been installed since
        resp.data = msgspec.json.encode(
            {
                "opencv": told.opencv if told else None,
                "operations": [
                    {
                        "name": operation.name,
                        "summary": operation.summary,
                        **self._availability(operation, told),
                        **self._schemas[operation.name],
                    }
                    for operation in OPERATIONS.values()
                ],
            }
        )

    on_head = on_get

    def _availability(self, operation: Operation, told: Abilities | None) -> dict[str, Any]:
        """In the words that a task with the default parameters would get."""
        found: dict[str, Any] = {"available": True, "problem": None}
        model = told.stand_ins.get(operation.name) if told else None  # nobody knows yet
        try:
            if chosen := abilities.require(OperationCall(operation.name, operation.params()), self._models, told):
                model = chosen.model.name
        except PiVisionError as error:
            model = None
            problem = {"code": error.code, "detail": str(error), "remedy": error.remedy}
            found = {"available": False, "problem": problem}
        if operation.name in models.OPERATIONS:
            found["model"] = model
            found["models"] = [self._described(each) for each in self._models.candidates(operation.name)]
        return found

    def _described(self, model: Model) -> dict[str, Any]:
        """What a form shows of a model; licence and size are null for the owner's own."""
        return {
            "name": model.name,
            "installed": self._models.has(model),
            "family": model.family,
            "labels": len(model.labels),
            "input_side_px": model.input_side_px,
            "licence": model.origin.licence if model.origin else None,
            "size_bytes": model.origin.size_bytes if model.origin else None,
        }
