"""The owner's other side of the notices: a real HTTP server that keeps what it is sent."""

import contextlib
import http.server
import json
import queue
import threading
from collections.abc import Iterator
from email.message import Message
from typing import Any


class Webhook(http.server.HTTPServer):
    """The owner's other side. `answers` are the statuses of the first requests; 204 afterwards."""

    location = ""  # to which redirects lead

    def __init__(self, port: int, *answers: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.taken: queue.Queue[dict[str, Any]] = queue.Queue()
        self.requests: queue.Queue[tuple[str, Message, bytes]] = queue.Queue()  # taken or not
        self.answers = list(answers)


class Handler(http.server.BaseHTTPRequestHandler):
    server: Webhook

    def do_GET(self) -> None:
        self.server.requests.put((f"GET {self.path}", self.headers, b""))
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.put((f"POST {self.path}", self.headers, body))
        content = json.loads(body)
        status = self.server.answers.pop(0) if self.server.answers else 204
        if status < 300:
            self.server.taken.put({"path": self.path, **content})
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", self.server.location)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextlib.contextmanager
def listening(port: int, *answers: int) -> Iterator[Webhook]:
    with Webhook(port, *answers) as webhook:
        threading.Thread(target=webhook.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield webhook
        finally:
            webhook.shutdown()
