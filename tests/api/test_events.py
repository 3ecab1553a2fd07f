"""/v1/events: what happens is told while it happens, and again to whoever was away."""

import contextlib
import http.client
import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pivision import tokens
from pivision.task import State
from tests.api.conftest import PATIENCE_SECONDS, Api, assert_problem, png, serving, stopped, wait_until_up
from tests.api.test_tasks import ended, made
from tests.box import eventually

PROMPT_SECONDS = 4.0


class Stream:
    """A client of the stream."""

    def __init__(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
        self.connection = connection
        self.answer = answer
        self.last_id = ""

    def lines(self) -> Iterator[str]:
        give_up = time.monotonic() + PATIENCE_SECONDS  # heartbeats go on for ever
        while line := self.answer.readline():
            assert time.monotonic() < give_up, "what is awaited was not told"
            yield line.decode().rstrip("\n")

    def blocks(self) -> Iterator[dict[str, str]]:
        """The fields of each event; a comment has the empty name."""
        fields: dict[str, str] = {}
        for line in self.lines():
            if line:
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
            else:
                self.last_id = fields.get("id", self.last_id)
                yield fields
                fields = {}

    def next(self, kind: str) -> Any:
        """The data of the next event of this kind, whatever comes in between."""
        return next(json.loads(block["data"]) for block in self.blocks() if block.get("event") == kind)

    def tasks(self, count: int) -> list[tuple[int, str]]:
        """The ids and states of the next tasks."""
        told = [self.next("task") for _ in range(count)]
        return [(task["id"], task["state"]) for task in told]

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


@contextlib.contextmanager
def listening(api: Api, query: str = "", last_event_id: str | None = None) -> Iterator[Stream]:
    """A stream that has begun: what happens in the block is told."""
    connection = api.connect()
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    connection.request("GET", "/v1/events" + query, headers={**api.headers, **headers})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
    stream = Stream(connection, answer)
    try:
        first = next(stream.blocks())
        assert first["retry"] == "1000"
        assert first["id"].isdecimal()
        yield stream
    finally:
        stream.close()


@pytest.fixture
def api() -> Iterator[Api]:
    """A server of its own for each test, without a worker, with two places for streams."""
    with serving(event_streams=2) as api:
        yield api


def within(seconds: float, look: Callable[[], object]) -> None:
    began = time.monotonic()
    look()
    assert time.monotonic() - began < seconds


def test_each_step_is_told_in_order_as_the_task_is(api: Api) -> None:
    made(api, 1)
    with listening(api) as stream:
        assert stream.next("system")["tasks"]["queued"] == 1
        (task_id,) = made(api, 1)
        told = stream.next("task")
        assert told == api.get(f"/v1/tasks/{task_id}").json
        api.request("DELETE", f"/v1/tasks/{task_id}")
        assert stream.tasks(1) == [(task_id, "cancelled")]
        api.request("POST", f"/v1/tasks/{task_id}/retry")
        assert stream.tasks(1) == [(task_id, "queued")]
        assert stream.next("system")["tasks"]["queued"] == 2


def test_what_a_worker_does_is_told_at_once() -> None:
    with serving() as api, api.program("pivision.worker", "1"):
        eventually(lambda: api.get("/readyz").status == 200, "the worker is ready", PATIENCE_SECONDS)
        with listening(api) as stream:
            (task_id,) = made(api, 1)
            seen: list[str] = []
            while not seen or seen[-1] != "done":
                ((told_id, state),) = stream.tasks(1)
                assert told_id == task_id
                seen.append(state)
            assert seen == sorted(seen, key=["queued", "running", "done"].index)
            assert len(set(seen)) == len(seen)


def test_ids_of_events_grow_and_each_event_is_one_line_of_json(api: Api) -> None:
    with listening(api) as stream:
        made(api, 5)
        ids = []
        for block in stream.blocks():
            assert set(block) <= {"event", "id", "data", ""}
            json.loads(block["data"])
            if block["event"] == "task":
                ids.append(int(block["id"]))
            else:
                assert "id" not in block
            if len(ids) == 5:
                break
        assert ids == sorted(set(ids))


@pytest.mark.parametrize("how", ["header", "query"])
def test_whoever_comes_back_is_told_what_it_has_missed(api: Api, how: str) -> None:
    with listening(api) as stream:
        (first,) = made(api, 1)
        stream.tasks(1)
        seen = stream.last_id
    api.request("DELETE", f"/v1/tasks/{first}")
    second, third = made(api, 2)
    with listening(api, **resumed(how, seen)) as stream:
        assert stream.tasks(3) == [(first, "cancelled"), (second, "queued"), (third, "queued")]
        (fourth,) = made(api, 1)
        assert stream.tasks(1) == [(fourth, "queued")]


def resumed(how: str, last: str) -> dict[str, str]:
    return {"last_event_id": last} if how == "header" else {"query": f"?last_event_id={last}"}


def test_nothing_is_missed_over_the_servers_death() -> None:
    with stopped() as api:
        with api.program("pivision.server") as server:
            wait_until_up(api, server)
            with listening(api) as stream:
                made(api, 1)
                stream.tasks(1)
                made(api, 2)
                seen = stream.last_id
                server.send_signal(signal.SIGKILL)
                server.wait(PATIENCE_SECONDS)
        api.store.cancel(1)
        with api.program("pivision.server") as server:
            wait_until_up(api, server)
            with listening(api, last_event_id=seen) as stream:
                assert stream.tasks(3) == [(2, "queued"), (3, "queued"), (1, "cancelled")]


@pytest.mark.parametrize("last", ["99", "x", "-1", "9" * 30])
def test_who_names_an_event_that_is_not_known_must_read_the_list_anew(api: Api, last: str) -> None:
    made(api, 2)
    with listening(api, last_event_id=last) as stream:
        block = next(stream.blocks())
        assert (block["event"], block["id"], block["data"]) == ("reset", "2", "{}")
        (task_id,) = made(api, 1)
        assert stream.tasks(1) == [(task_id, "queued")]


def test_who_has_missed_very_much_must_read_the_list_anew(api: Api) -> None:
    (task_id,) = made(api, 1)
    store = api.store
    for _ in range(501):
        store.cancel(task_id)
        store.retry(task_id)
    with listening(api, last_event_id="1") as stream:
        assert next(stream.blocks())["event"] == "reset"


def test_a_silent_stream_has_a_heart_that_beats(api: Api) -> None:
    with listening(api) as stream:
        assert any(line == ": heartbeat" for line in stream.lines())


def test_a_stream_ends_soon_after_its_token_was_revoked(api: Api) -> None:
    with listening(api) as stream:
        tokens.remove(api.folder / "data" / "secrets", "test")
        assert list(stream.lines())[-1] == ""  # its end, before the connection's time limit


def test_one_stream_too_many_is_refused_and_the_server_answers_all_the_same(api: Api) -> None:
    with listening(api) as first, listening(api) as second:
        problem = assert_problem(api.get("/v1/events"), 503, "too-many-streams")
        assert problem["retryable"]
        for path in ("/healthz", "/v1/tasks", "/v1/system"):
            assert api.get(path).status == 200
        (task_id,) = made(api, 1)
        assert first.tasks(1) == second.tasks(1) == [(task_id, "queued")]
        second.close()
        eventually(lambda: is_free(api), "the place of the one that has gone is free", PROMPT_SECONDS)


def is_free(api: Api) -> bool:
    with contextlib.closing(api.connect()) as connection:
        connection.request("GET", "/v1/events", headers=api.headers)
        return connection.getresponse().status == 200


def test_streams_take_no_thread_from_anybody() -> None:
    with serving(server_threads=4, event_streams=20) as api, contextlib.ExitStack() as stack:
        streams = [stack.enter_context(listening(api)) for _ in range(20)]
        assert api.get("/healthz").status == 200
        (task_id,) = made(api, 1)
        assert all(stream.tasks(1) == [(task_id, "queued")] for stream in streams)


def test_a_connection_that_was_refused_a_stream_can_be_used_again(api: Api) -> None:
    with contextlib.closing(api.connect()) as connection:
        for path, status in (("/v1/events", 401), ("/healthz", 200)):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status


def test_head_tells_the_type_and_takes_no_place(api: Api) -> None:
    for _ in range(3):
        answer = api.request("HEAD", "/v1/events")
        assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, "text/event-stream", b"")


def test_a_server_that_is_stopped_ends_its_streams_at_once() -> None:
    with stopped() as api:
        with api.program("pivision.server") as server:
            wait_until_up(api, server)
            with listening(api) as stream:
                stream.next("system")
                server.terminate()
                within(PROMPT_SECONDS, lambda: list(stream.blocks()))
                within(PROMPT_SECONDS, lambda: server.wait(PATIENCE_SECONDS))
        assert "Traceback" not in api.log()


def test_a_finished_task_is_removed_with_its_pictures_and_the_streams_are_told(api: Api) -> None:
    task_id = ended(api, State.DONE)
    assert api.files()
    with listening(api) as stream:
        answer = api.request("DELETE", f"/v1/tasks/{task_id}?remove=true")
        assert (answer.status, answer.body) == (204, b"")
        assert stream.next("removed") == {"id": task_id}
        seen = str(int(stream.last_id) - 1)
    with listening(api, last_event_id=seen) as stream:
        assert stream.next("removed") == {"id": task_id}, "it is told again to whoever was away"
    assert_problem(api.get(f"/v1/tasks/{task_id}"), 404, "task-not-found")
    assert_problem(api.request("DELETE", f"/v1/tasks/{task_id}?remove=true"), 404, "task-not-found")
    assert api.files() == set()


def test_a_picture_that_another_task_has_stays_when_one_is_removed(api: Api) -> None:
    task_id = ended(api, State.DONE)
    (other,) = made(api, 1)
    assert api.request("DELETE", f"/v1/tasks/{task_id}?remove=true").status == 204
    assert api.get(f"/v1/tasks/{other}/image").body == png()


def test_what_waits_or_is_at_work_is_not_removed(api: Api) -> None:
    (task_id,) = made(api, 1)
    assert_problem(api.request("DELETE", f"/v1/tasks/{task_id}?remove=true"), 409, "task-state-conflict")
    assert api.store.claim(1)
    assert_problem(api.request("DELETE", f"/v1/tasks/{task_id}?remove=true"), 409, "task-state-conflict")
    assert_problem(api.request("DELETE", f"/v1/tasks/{task_id}?remove=perhaps"), 400, "invalid-request")


def test_the_list_can_be_narrowed_to_an_operation_a_source_and_a_state(api: Api) -> None:
    door = api.post(png(), "operations=codes&source=front+door").json["id"]
    yard = api.post(png(), "operations=codes,quality&source=yard").json["id"]

    def listed(query: str) -> list[int]:
        return [task["id"] for task in api.get(f"/v1/tasks?{query}").json["tasks"]]

    assert listed("operation=codes") == [yard, door]
    assert listed("operation=quality") == [yard]
    assert listed("source=front%20door") == [door]
    assert listed("source=front+door&operation=quality") == []
    assert listed("source=yard&operation=quality&state=queued") == [yard]
    assert listed("source=yard&state=done") == []
    assert_problem(api.get("/v1/tasks?operation=magic"), 400, "invalid-request")


def test_a_client_that_does_not_read_loses_its_place() -> None:
    with serving(event_streams=1) as api, contextlib.closing(socket.socket()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", api.port))
        client.sendall(f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.token}\r\n\r\n".encode())
        assert client.recv(12) == b"HTTP/1.1 200"
        assert_problem(api.get("/v1/events"), 503, "too-many-streams")
        store = api.store
        for _ in range(12):
            made(api, 1)
            task = store.claim(1)
            assert task is not None
            assert store.finish(task, json.dumps({"codes": {"text": "x" * 1_000_000}}).encode())
        eventually(lambda: is_free(api), "the place of the one that does not read is free", PATIENCE_SECONDS)
        assert api.get("/healthz").status == 200
