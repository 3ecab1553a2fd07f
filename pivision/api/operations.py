"""/v1/operations: what this machine can do."""

import falcon
import msgspec

from pivision.operations import OPERATIONS


class Operations:
    """/v1/operations"""

    def __init__(self) -> None:
        self._answer = msgspec.json.encode(
            {
                "operations": [
                    {
                        "name": operation.name,
                        "summary": operation.summary,
                        "params": msgspec.json.schema(operation.params),
                        "result": msgspec.json.schema(operation.result),
                    }
                    for operation in OPERATIONS.values()
                ]
            }
        )

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Every operation with the JSON Schemas of its parameters and its result."""
        resp.data = self._answer

    on_head = on_get
