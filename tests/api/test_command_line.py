"""submit, tasks and watch, as a person types them, against a real server with a worker."""

import contextlib
import http.server
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pivision import tokens
from pivision.client.submission import pictures
from pivision.config import ROOT
from tests.api.conftest import Api, png
from tests.box import eventually, free_port

CODES = ROOT / "tests" / "pictures" / "qrcode-1.webp"


def environment(token: str | None) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PIVISION_")}
    return {**clean, **({"PIVISION_CLIENT_TOKEN": token} if token else {})}


def pivision(token: str | None, *arguments: str, box: Api | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command as a person on some machine does, or on the box itself."""
    command = [sys.executable, "-m", "pivision", *arguments]
    env = environment(token) if box is None else box.environment
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


def url(api: Api) -> str:
    return f"http://127.0.0.1:{api.port}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    below = tmp_path / "photos" / "below"
    below.mkdir(parents=True)
    (below.parent / "code.webp").write_bytes(CODES.read_bytes())
    (below / "white.PNG").write_bytes(png())
    (below / "notes.txt").write_text("no picture")
    return below.parent


def test_a_folder_is_sent_and_told_as_a_table(working: Api, folder: Path) -> None:
    arguments = ("submit", str(folder), "--operations", "codes,quality", "--url", url(working))
    run = pivision(working.token, *arguments)
    assert (run.returncode, run.stderr) == (0, ""), run.stderr
    head, code, white = run.stdout.splitlines()
    assert head.split() == ["FILE", "TASK", "STATE", "FOUND"]
    assert code.startswith(str(folder / "code.webp"))
    assert code.endswith("codes 1, quality")
    assert white.startswith(str(folder / "below" / "white.PNG"))
    assert white.endswith("codes 0, quality")
    assert pivision(working.token, *arguments).stdout == run.stdout, "sent again, they are the same tasks"
    assert pivision(working.token, *arguments, "--source", "door").stdout != run.stdout, "another question"


def test_on_a_terminal_a_line_tells_how_far_it_is(working: Api, folder: Path) -> None:
    command = [sys.executable, "-m", "pivision", "submit", str(folder), "--operations", "codes", "--url", url(working)]
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            command,
            cwd=ROOT,
            env=environment(working.token),
            check=True,
            timeout=60,
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        told = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert told.startswith("\r\x1b[K0 of 2 …")
    assert "] 100 %  2 of 2" in told.replace("  100", " 100")


def test_what_fails_is_told_and_the_rest_is_done(working: Api, folder: Path, tmp_path: Path) -> None:
    (folder / "broken.jpg").write_text("no picture either")
    token_file = tmp_path / "token"
    token_file.write_text(f"{working.token}\n")
    arguments = ("--operations", "codes", "--url", url(working), "--token-file", str(token_file), "--json")
    run = pivision(None, "submit", str(folder), str(tmp_path / "gone.png"), *arguments)
    assert (run.returncode, run.stderr) == (1, "")
    told = {Path(entry["file"]).name: entry for entry in map(json.loads, run.stdout.splitlines())}
    assert told.keys() == {"code.webp", "white.PNG", "broken.jpg", "gone.png"}
    assert told["code.webp"]["task"]["result"]["codes"]["codes"]
    assert (told["white.PNG"]["task"]["state"], told["white.PNG"]["error"]) == ("done", None)
    assert (told["broken.jpg"]["task"], told["broken.jpg"]["error"]["code"]) == (None, "image-unsupported")
    assert told["gone.png"]["error"]["code"] == "file-unreadable"


def test_what_is_not_finished_in_time_is_said(api: Api, folder: Path) -> None:
    """There is no worker."""
    arguments = ("--operations", "codes", "--url", url(api), "--timeout", "0.5", "--json")
    run = pivision(api.token, "submit", str(folder), *arguments)
    assert run.returncode == 1
    for entry in map(json.loads, run.stdout.splitlines()):
        assert (entry["task"]["state"], entry["error"]["code"]) == ("queued", "not-finished")


def test_a_server_that_comes_back_gets_what_is_left(folder: Path) -> None:
    short = Path(tempfile.mkdtemp(prefix="pv-"))  # Unix sockets have paths of at most 107 bytes
    api = Api(short)
    command = [sys.executable, "-m", "pivision", "submit", str(folder), "--operations", "codes", "--url", url(api)]

    def sent() -> bool:
        with contextlib.suppress(OSError):
            return len(api.get("/v1/tasks").json.get("tasks", [])) == 2
        return False

    try:
        with contextlib.ExitStack() as stack:
            with api.program("pivision.server"):
                eventually(api.is_up, "the server answers")
                submitting = stack.enter_context(
                    subprocess.Popen(command, cwd=ROOT, env=environment(api.token), stdout=subprocess.PIPE, text=True)
                )
                eventually(sent, "both are sent")
            with api.program("pivision.server"), api.program("pivision.worker", "1"):
                output, _ = submitting.communicate(timeout=60)
        assert submitting.returncode == 0
        assert output.count(" done ") == 2
    finally:
        shutil.rmtree(short)


def test_tasks_are_listed(api: Api) -> None:
    ids = [api.post(png(colour), "operations=codes,quality&source=list").json["id"] for colour in ("red", "blue")]
    run = pivision(api.token, "tasks", "--last", "2", "--url", url(api))
    head, *rows = run.stdout.splitlines()
    assert head.split() == ["TASK", "STATE", "CREATED", "OPERATIONS", "SOURCE", "FOUND"]
    assert [row.split()[:2] for row in rows] == [[str(ids[1]), "queued"], [str(ids[0]), "queued"]]
    assert rows[0].split()[3:] == ["codes,quality", "list"]
    run = pivision(api.token, "tasks", "--state", "queued", "--last", "1", "--json", "--url", url(api))
    assert json.loads(run.stdout)["id"] == ids[1]
    run = pivision(api.token, "tasks", "--state", "sleeping", "--url", url(api))
    assert run.returncode == 1
    assert "there is no state 'sleeping'" in run.stderr


def test_what_is_in_the_way_of_everything_is_one_error(api: Api, folder: Path, tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    for token, code, arguments in (
        (api.token, "server-unreachable", ("tasks", "--url", nobody)),
        (api.token, "server-unreachable", ("tasks", "--url", "ftp://pi")),
        (api.token, "server-unreachable", ("watch", "--url", nobody)),
        (api.token, "server-unreachable", ("submit", str(folder), "--operations", "codes", "--url", nobody)),
        (None, "token-missing", ("submit", str(folder), "--operations", "codes", "--url", url(api))),
        ("wrong", "unauthorized", ("tasks", "--url", url(api))),
        (None, "file-unreadable", ("tasks", "--url", url(api), "--token-file", str(tmp_path / "none"))),
        (api.token, "file-unreadable", ("submit", str(tmp_path / "photos" / "below"), "--operations", "codes")),
    ):
        if code == "file-unreadable" and arguments[0] == "submit":
            (folder / "below" / "white.PNG").unlink()
        run = pivision(token, *arguments)
        assert (run.returncode, run.stdout) == (1, "")
        assert f"[{code}]" in run.stderr.splitlines()[0]


def test_on_the_box_itself_no_token_is_needed_and_none_is_left(working: Api, folder: Path) -> None:
    secrets_dir = working.folder / "data" / "secrets"
    tokens.create(secrets_dir, "command-999999999", tokens.Scope.SUBMIT)  # of one that was killed: no process has this
    before = [token.name for token in tokens.kept(secrets_dir) if token.name != "command-999999999"]
    run = pivision(None, "submit", str(folder / "code.webp"), "--operations", "codes", "--json", box=working)
    assert (run.returncode, run.stderr) == (0, ""), run.stderr
    assert json.loads(run.stdout)["task"]["state"] == "done"
    assert [token.name for token in tokens.kept(secrets_dir)] == before


def test_a_folder_is_walked_in_order_and_each_file_taken_once(folder: Path) -> None:
    found = [folder / "code.webp", folder / "below" / "white.PNG"]
    assert pictures([folder, folder / "code.webp"]) == found
    assert pictures([folder / "below" / "notes.txt"]) == [folder / "below" / "notes.txt"], "it was named"


@contextlib.contextmanager
def watching(command: list[str], token: str) -> "Iterator[subprocess.Popen[str]]":
    """Run `watch` until the block ends, as in a terminal: what a shell starts in its background ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        watch = subprocess.Popen(command, cwd=ROOT, env=environment(token), stdout=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    with watch:
        try:
            yield watch
        finally:
            watch.kill()


def test_watch_tells_of_the_tasks_of_a_real_server(working: Api) -> None:
    command = [sys.executable, "-m", "pivision", "watch", "--url", url(working)]
    with watching(command, working.token) as watch:
        output = watch.stdout
        assert output

        def is_told() -> bool:
            """It may not be connected yet when the first ones are made."""
            working.post(CODES.read_bytes(), "operations=codes&source=door&wait=10")
            return bool(select.select([output], [], [], 0.2)[0])

        eventually(is_told, "it tells of a task")
        line = output.readline()
        while line and " done " not in line:
            line = output.readline()
        assert line.split()[1:] == ["done", "codes", "1", "from", "door"]
        watch.send_signal(signal.SIGINT)
        assert watch.wait(30) == 130


class Streams(http.server.ThreadingHTTPServer):
    """Tells two streams of events, the second to who comes back, and then nothing more."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Stream)
        self.last_ids: list[str | None] = []


class _Stream(http.server.BaseHTTPRequestHandler):
    server: Streams

    def do_GET(self) -> None:
        self.server.last_ids.append(self.headers["Last-Event-ID"])
        turn = len(self.server.last_ids)
        self.send_response(200 if turn != 2 else 503)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Retry-After", "0")
        self.end_headers()
        if turn == 1:
            self.wfile.write(b"retry: 10\n\n: heartbeat\n\nevent: system\ndata: {}\n\n")
            self._tell(7, "queued")
        elif turn == 3:
            self._tell(9, "done")
            self.wfile.write(b'event: removed\ndata: {"id": 4}\n\nevent: task\ndata: {"half')

    def _tell(self, revision: int, state: str) -> None:
        result = {"codes": {"milliseconds": 1, "codes": [{}]}} if state == "done" else None
        task: dict[str, Any] = {"id": 4, "state": state, "source": "a\x1b[2Jb", "result": result, "error": None}
        self.wfile.write(f"event: task\nid: {revision}\ndata: {json.dumps(task)}\n\n".encode())

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def streams() -> Iterator[Streams]:
    with Streams() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_watch_goes_on_where_the_stream_has_broken() -> None:
    with streams() as server:
        command = [sys.executable, "-m", "pivision", "watch", "--url", f"http://127.0.0.1:{server.server_port}"]
        with watching(command, "t") as watch:
            assert watch.stdout
            lines = [watch.stdout.readline().split() for _ in range(3)]
            eventually(lambda: len(server.last_ids) > 3, "it comes back once more")
            watch.send_signal(signal.SIGINT)
            assert watch.wait(30) == 130
    assert lines == [["4", "queued", "from", "a?[2Jb"], ["4", "done", "codes", "1", "from", "a?[2Jb"], ["4", "removed"]]
    assert server.last_ids[:4] == [None, "7", "7", "9"]
