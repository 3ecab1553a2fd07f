"""Is it alive, can it work, what can it do, and how is it."""

import base64
import contextlib
import fcntl
import http.client
import json
import os
import platform
import select
import shutil
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import apsw
import psutil
import pytest
from falcon import testing

from pivision import __version__, abilities, heartbeat
from pivision.api.app import create_app
from pivision.api.feed import Feed
from pivision.api.last_hour import LastHour
from pivision.api.waiting import Waiting
from pivision.config import Settings
from pivision.images import Images
from pivision.operations import OPERATIONS
from pivision.store import Store, gate, recovery
from pivision.task import State
from tests.api.conftest import Api, assert_problem, png, serving
from tests.box import eventually


@pytest.fixture
def fresh() -> Iterator[Api]:
    """A server of its own: here things are broken."""
    with serving(database_timeout_seconds=1) as api:
        yield api


def test_the_page_greets_a_plain_curl(api: Api) -> None:
    answer = api.get("/")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert b"PiVision" in answer.body


def test_alive_says_nothing_but_that(api: Api) -> None:
    answer = api.get("/healthz")
    assert (answer.status, answer.json) == (200, {"status": "ok"})
    assert answer.headers["Content-Type"] == "application/json"


def test_ready_tells_what_is_missing(fresh: Api) -> None:
    answer = fresh.get("/readyz")
    assert (answer.status, answer.json["status"]) == (503, "not ready")
    assert {name for name, found in answer.json["checks"].items() if found != "ok"} == {"worker"}

    heartbeat.beat(fresh.run_dir, 1)
    answer = fresh.get("/readyz")
    assert (answer.status, answer.json) == (
        200,
        {"status": "ready", "checks": {"database": "ok", "disk": "ok", "worker": "ok"}},
    )

    heartbeat.beat(fresh.run_dir, 1, task_id=1, deadline_seconds=-heartbeat.MARGIN_SECONDS - 1)
    assert fresh.get("/readyz").status == 503  # its promise is broken


def test_a_damaged_database_is_answered_with_503_and_ends_the_server(fresh: Api) -> None:
    """Whoever starts it again recovers. Without a supervisord that is nobody here."""
    for file in (fresh.folder / "data").glob("pivision.db*"):
        file.write_bytes(b"\xff" * 10_000)
    answer = fresh.get("/v1/tasks")
    assert (answer.status, answer.json["code"]) == (503, "database-unusable")
    eventually(lambda: "the server ends" in fresh.log(), "it says so")


def test_a_server_that_waits_for_its_database_is_alive_and_says_so(run_folder: Path) -> None:
    """Another program checks the database: it holds the lock alone."""
    api = Api(run_folder)
    lock = os.open(gate.lock_file(run_folder / "data" / "pivision.db"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with api.program("pivision.server"):
        eventually(lambda: answers(api, "/healthz") == 200, "it is alive")
        ready = api.get("/readyz")
        assert (ready.status, ready.json["checks"]) == (503, {"database": "database-recovering"})
        for answer in (api.get("/v1/tasks"), api.get("/v1/system"), api.get("/openapi.json"), api.post(png())):
            assert_problem(answer, 503, "database-recovering")
        cameras = api.request("POST", "/v1/vision/detection", headers={"Authorization": ""})
        assert (cameras.status, cameras.json["success"], cameras.json["code"]) == (503, False, 503)
        assert api.get("/").status == 200
        assert api.request("GET", "/v1/tasks", headers={"Authorization": "Bearer no"}).status == 401
        os.close(lock)
        eventually(lambda: answers(api, "/v1/tasks") == 200, "it goes on by itself")


def answers(api: Api, path: str) -> int | None:
    with contextlib.suppress(OSError):
        return api.get(path).status
    return None


@pytest.fixture
def run_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="pv-"))  # short: Unix sockets have paths of at most 107 bytes
    yield folder
    shutil.rmtree(folder)


def test_the_last_recovery_is_told(api: Api) -> None:
    assert api.get("/v1/system").json["recovery"] is None
    file = recovery.report_file(api.folder / "data")
    file.write_text('{"cause": "it is empty"}')
    assert api.get("/v1/system").json["recovery"] == {"cause": "it is empty"}
    file.unlink()


def test_ready_needs_the_folder_of_images(fresh: Api) -> None:
    heartbeat.beat(fresh.run_dir, 1)
    shutil.rmtree(fresh.folder / "data" / "images")  # as when its disk is no longer mounted
    answer = fresh.get("/readyz")
    assert answer.status == 503
    assert {name for name, found in answer.json["checks"].items() if found != "ok"} == {"disk"}
    answer = fresh.post(png())
    assert (answer.status, answer.json["code"]) == (503, "storage-unavailable")
    assert answer.json["retryable"]


def test_ready_needs_room_on_the_disk() -> None:
    with serving(disk_reserve_bytes=1 << 50) as api:
        heartbeat.beat(api.run_dir, 1)
        assert api.get("/readyz").json["checks"] == {"database": "ok", "disk": "storage-full", "worker": "ok"}
        answer = api.post(png())
        assert (answer.status, answer.json["code"]) == (507, "storage-full")
        assert answer.headers["Retry-After"]
        assert api.files() == set()


@contextlib.contextmanager
def locked_database(api: Api) -> Iterator[None]:
    """Another process writes, and does not come to an end."""
    with contextlib.closing(apsw.Connection(str(api.folder / "data" / "pivision.db"))) as lock:
        lock.execute("BEGIN IMMEDIATE")
        yield
        lock.execute("ROLLBACK")


def test_a_locked_database_is_busy(fresh: Api) -> None:
    with locked_database(fresh):
        assert_problem(fresh.post(png()), 503, "database-busy")
        assert fresh.get("/v1/tasks").status == 200
    assert fresh.post(png()).status == 201


def test_alive_even_while_every_thread_waits_for_the_database() -> None:
    with serving(database_timeout_seconds=50, server_threads=4) as api, contextlib.ExitStack() as stack:
        writers = [stack.enter_context(contextlib.closing(api.connect())) for _ in range(12)]
        with locked_database(api):
            for writer in writers:
                writer.request("POST", "/v1/tasks?operations=codes", png(), api.headers)
            for _ in range(5):
                with contextlib.closing(http.client.HTTPConnection("127.0.0.1", api.port, timeout=20)) as health:
                    health.request("GET", "/healthz")
                    assert health.getresponse().status == 200
            readable, _, _ = select.select([writer.sock for writer in writers], [], [], 0)
            assert not readable, "nobody was to be answered before the lock is gone"
        assert [writer.getresponse().status for writer in writers] == [201] * 12


def test_the_system(api: Api) -> None:
    api.post(png())
    server = {"name": "server", "state": "RUNNING", "pid": os.getpid()}
    stopped = {"name": "worker:worker_1", "state": "STOPPED", "pid": 0}
    (api.run_dir / "health.json").write_text(json.dumps({"boottime_seconds": 4711, "programs": [server, stopped]}))
    system = api.get("/v1/system").json
    assert system["versions"]["pivision"] == __version__
    assert system["versions"]["python"] == platform.python_version()
    assert system["versions"]["falcon"] == metadata.version("falcon")
    assert {"apsw", "waitress", "supervisor", "zxing-cpp"} <= set(system["versions"])
    assert system["machine"] == platform.machine()
    assert system["uptime_seconds"] > 0
    assert set(system["tasks"]) == set(State)
    assert system["tasks"]["queued"] >= 1
    assert system["workers"] == [
        {"number": 1, "pid": None, "is_fresh": False, "task_id": None, "started_seconds": None}
    ]
    started_seconds = psutil.Process().create_time() - psutil.boot_time()
    server_told, stopped_told = system["health"]["programs"]
    assert server_told.pop("started_seconds") == pytest.approx(started_seconds, abs=2)
    assert (server_told, stopped_told) == (server, {**stopped, "started_seconds": None})
    assert system["health"]["boottime_seconds"] == 4711
    assert system["disk"]["free_bytes"] > 0
    assert system["disk"]["reserve_bytes"] == 0
    assert 0 < system["memory"]["available_bytes"] < system["memory"]["total_bytes"]
    assert system["supervisor_port"] == int(api.environment["PIVISION_SUPERVISOR_PORT"])
    assert system["temperature_celsius"] is None or -50 < system["temperature_celsius"] < 150


def test_where_opencv_has_no_package_a_worker_tells_its_version(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with Debian's."""
    monkeypatch.setattr("pivision.api.system._OPENCV_PACKAGES", ())
    settings = Settings(data_dir=run_folder / "data", run_dir=run_folder, models_dir=run_folder, auth="none")
    images = Images(settings.images_dir, reserve_bytes=0)
    store = Store(settings.database)
    client = testing.TestClient(create_app(settings, store, images, Waiting(1), Feed(1), LastHour(store), lambda: None))
    assert client.simulate_get("/v1/system", host="localhost").json["versions"]["opencv"] is None
    abilities.publish(run_folder, abilities.Abilities(opencv="4.6.0", stand_ins={}, text=False, models={}))
    assert client.simulate_get("/v1/system", host="localhost").json["versions"]["opencv"] == "4.6.0"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff"])
def test_the_system_without_a_word_from_health(api: Api, content: bytes) -> None:
    (api.run_dir / "health.json").write_bytes(content)
    assert api.get("/v1/system").json["health"] is None


KEYWORDS = {
    "$ref", "$defs", "title", "description", "type", "properties", "required", "additionalProperties", "default",
    "minimum", "maximum", "maxItems", "minItems", "items", "prefixItems", "enum", "anyOf", "contentEncoding",
}  # fmt: skip
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}


def validate(value: Any, schema: Any, root: Any) -> None:
    """JSON Schema 2020-12, as far as these schemas go; an unknown word fails, so that none is passed over."""
    if schema is False:
        pytest.fail(f"{value!r} must not be there")
    assert set(schema) <= KEYWORDS
    if "$ref" in schema:
        validate(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    if "type" in schema:
        assert isinstance(value, TYPES[schema["type"]]), (value, schema)
        assert not (schema["type"] in ("integer", "number") and isinstance(value, bool))
    if "contentEncoding" in schema:
        assert base64.b64decode(value, validate=True)
    if "enum" in schema:
        assert value in schema["enum"]
    if isinstance(value, int | float):
        assert schema.get("minimum", value) <= value <= schema.get("maximum", value)
    if isinstance(value, list):
        assert schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        first = schema.get("prefixItems", [])
        for position, each in enumerate(value):
            validate(each, first[position] if position < len(first) else schema.get("items", {}), root)
    if isinstance(value, dict):
        assert set(schema.get("required", [])) <= set(value)
        for name, each in value.items():
            validate(each, schema.get("properties", {}).get(name, schema.get("additionalProperties", {})), root)


def test_the_operations_and_their_schemas(api: Api) -> None:
    offered = api.get("/v1/operations").json["operations"]
    assert [operation["name"] for operation in offered] == list(OPERATIONS)
    for operation in offered:
        assert operation["summary"]
        schema = operation["params"]
        definition = schema["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        assert definition["additionalProperties"] is False
        defaults = {name: each["default"] for name, each in definition["properties"].items()}
        validate(defaults, schema, schema)
        validate({}, schema, schema)
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            validate({"unknown": 1}, schema, schema)
        assert all(each.get("description") for each in definition["properties"].values())


def test_a_task_of_the_defaults_is_taken_as_the_schemas_say(api: Api) -> None:
    for operation in api.get("/v1/operations").json["operations"]:
        definition = operation["params"]["$defs"][operation["params"]["$ref"].removeprefix("#/$defs/")]
        defaults = {name: each["default"] for name, each in definition["properties"].items()}
        calls = [{"name": operation["name"], "params": defaults}]
        if operation["name"] == "annotate":  # which draws what another has found
            calls.append({"name": "codes", "params": {"formats": []}})
        text = json.dumps(calls, separators=(",", ":")).replace('"', "%22")
        answer = api.post(png(), f"operations={text}&source=door")
        if operation["available"]:
            assert answer.json["operations"] == calls
        else:
            assert_problem(answer, 409, "model-missing")
