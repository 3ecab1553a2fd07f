"""A real server in a process of its own, with or without a worker, driven over HTTP."""

import contextlib
import http.client
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PillowImage

from pivision import tokens
from pivision.config import ROOT
from pivision.store import Store
from tests.box import Answer, eventually, free_port

PATIENCE_SECONDS = 30.0
MAX_UPLOAD_BYTES = 300_000
MAX_IMAGE_PIXELS = 1_000_000
PICTURES = ROOT / "tests" / "pictures"


class Api:
    """One server in a folder of its own."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.port = free_port()
        self.run_dir = folder / "run"
        mine: dict[str, object] = {
            "host": "127.0.0.1",
            "port": self.port,
            "supervisor_port": free_port(),
            "data_dir": folder / "data",
            "log_dir": folder / "logs",
            "run_dir": self.run_dir,
            "models_dir": folder / "models",
            "workers": 1,
            "max_upload_bytes": MAX_UPLOAD_BYTES,
            "max_image_pixels": MAX_IMAGE_PIXELS,
            "max_wait_seconds": 20,
            "disk_reserve_bytes": 0,
            **settings,
        }
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("PIVISION_")}
        self.environment.update({f"PIVISION_{name.upper()}": str(value) for name, value in mine.items()})
        self.token = tokens.create(folder / "data" / "secrets", "test")
        self.headers = {"Authorization": f"Bearer {self.token}"}

    @contextlib.contextmanager
    def program(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run one of the programs until the block ends."""
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments], cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)

    def is_up(self) -> bool:
        """Whether it answers, with its database open."""
        with contextlib.suppress(OSError):
            return self.get("/v1/tasks").status == 200
        return False

    def log(self, module: str = "pivision.server") -> str:
        return (self.folder / f"{module}.log").read_text()

    @property
    def store(self) -> Store:
        """The server's own database."""
        return Store(self.folder / "data" / "pivision.db", timeout_seconds=PATIENCE_SECONDS)

    def install_model(self, name: str = "parcels", labels: tuple[str, ...] = ("person", "dog", "parcel")) -> None:
        """An owner's own model, as far as the server looks at it; a worker could not load it."""
        folder = self.folder / "models"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.onnx").write_bytes(b"no network")
        manifest = f'file = "{name}.onnx"\nfamily = "yolox"\ninput_side_px = 416\nlabels = {json.dumps(labels)}\n'
        (folder / f"{name}.toml").write_text(manifest)

    def files(self) -> set[str]:
        """Every image on the disk."""
        return {path.name for path in (self.folder / "data" / "images").rglob("*") if path.is_file()}

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)

    def request(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """One request with the token, on a connection of its own."""
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body, {**self.headers, **(headers or {})})
            answer = connection.getresponse()
            has_end = answer.headers["Content-Type"] != "text/event-stream"
            return Answer(answer.status, answer.headers, answer.read() if has_end else b"")

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, body: Any, query: str = "operations=codes", headers: dict[str, str] | None = None) -> Answer:
        """Make a task of a raw picture."""
        return self.request("POST", f"/v1/tasks?{query}", body, {"Content-Type": "image/png", **(headers or {})})

    def raw(self, sent: bytes) -> list[Answer]:
        """Send bytes as they are, and no more; every answer up to the end of the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            received = b""
            with contextlib.suppress(ConnectionResetError):  # by a server that has said enough
                while more := connection.recv(65536):
                    received += more
        return _answers(io.BytesIO(received))


class _Received:
    """Bytes in the place of http.client's socket."""

    def __init__(self, stream: io.BytesIO) -> None:
        self._stream = stream

    def makefile(self, *_: object) -> io.BytesIO:
        return self._stream


class _Kept(io.BytesIO):
    """A stream that outlives the answer that was read from it."""

    def close(self) -> None:
        pass


def _answers(stream: io.BytesIO) -> list[Answer]:
    kept, answers = _Kept(stream.getvalue()), []
    while kept.tell() < len(kept.getvalue()):
        response = http.client.HTTPResponse(_Received(kept))  # type: ignore[arg-type]
        response.begin()
        answers.append(Answer(response.status, response.headers, response.read()))
    return answers


@contextlib.contextmanager
def stopped(**settings: object) -> Iterator[Api]:
    """A box whose programs do not run yet."""
    folder = Path(tempfile.mkdtemp(prefix="pv-"))  # short: Unix sockets have paths of at most 107 bytes
    try:
        yield Api(folder, **settings)
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def serving(**settings: object) -> Iterator[Api]:
    """A server that answers."""
    with stopped(**settings) as api:
        try:
            with api.program("pivision.server") as server:
                wait_until_up(api, server)
                yield api
        except BaseException:
            print(api.log())
            raise


def wait_until_up(api: Api, server: subprocess.Popen[bytes]) -> None:
    def look() -> bool:
        assert server.poll() is None, api.log()
        return api.is_up()

    eventually(look, "the server answers and its database is open", PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    """A server without a worker: tasks stay where the tests put them."""
    with serving() as api:
        yield api


@pytest.fixture(scope="module")
def working() -> Iterator[Api]:
    """A server with a worker."""
    with serving() as api, api.program("pivision.worker", "1"):
        eventually(lambda: api.get("/readyz").status == 200, "the worker is ready", PATIENCE_SECONDS)
        yield api


def png(colour: str = "white", size: tuple[int, int] = (40, 30)) -> bytes:
    """A small picture; another colour is another picture."""
    file = io.BytesIO()
    PillowImage.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def form(*parts: tuple[str, bytes | str], boundary: str = "----boundary") -> tuple[bytes, dict[str, str]]:
    """A multipart form, as curl -F writes it, and its header."""
    body = b""
    for name, content in parts:
        filename = '; filename="photo.jpg"\r\nContent-Type: image/jpeg' if isinstance(content, bytes) else ""
        data = content if isinstance(content, bytes) else content.encode()
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'.encode()
        body += data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def assert_problem(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """The answer is this error, told as RFC 9457 says."""
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer.body
    problem: dict[str, Any] = json.loads(answer.body)
    assert (problem["code"], problem["status"]) == (code, status)
    assert problem["type"] == f"urn:pivision:error:{code}"
    assert all(isinstance(problem[key], str) and problem[key] for key in ("title", "detail", "remedy"))
    assert problem["retryable"] is (status in (408, 429, 503, 507))
    assert ("Retry-After" in answer.headers) == problem["retryable"]
    return problem
