"""Tasks are listed, cancelled and retried."""

from collections.abc import Iterator

import pytest

from pivision.errors import OperationFailed
from pivision.task import State, TaskError
from tests.api.conftest import Api, assert_problem, png, serving


@pytest.fixture
def api() -> Iterator[Api]:
    """A server of its own for each test: lists show everything."""
    with serving() as api:
        yield api


def made(api: Api, count: int) -> list[int]:
    return [api.post(png()).json["id"] for _ in range(count)]


def ended(api: Api, state: State) -> int:
    """A task that a worker, or a person, has brought to `state`."""
    (task_id,) = made(api, 1)
    store = api.store
    if state is State.CANCELLED:
        store.cancel(task_id)
        return task_id
    task = store.claim(1)
    assert task is not None
    assert task.id == task_id
    match state:
        case State.DONE:
            store.finish(task, b'{"codes":{"codes":[]}}')
        case State.FAILED:
            store.fail(task, TaskError("operation-failed", "it would not"))
        case State.QUARANTINED:
            store.quarantine(task, TaskError("worker-died", "its worker died"))
    return task_id


def test_a_list_goes_by_pages_which_new_tasks_do_not_shift(api: Api) -> None:
    assert api.get("/v1/tasks").json == {"tasks": [], "next": None}
    ids = made(api, 7)
    seen: list[int] = []
    path = "/v1/tasks?limit=3"
    pages = 0
    while True:
        page = api.get(path).json
        seen += [task["id"] for task in page["tasks"]]
        pages += 1
        made(api, 1)
        if page["next"] is None:
            break
        path = f"/v1/tasks?limit=3&cursor={page['next']}"
    assert seen == ids[::-1]
    assert pages == 3


def test_the_last_page_names_no_next(api: Api) -> None:
    made(api, 5)
    for limit in (1, 5, 6, 200):
        page = api.get(f"/v1/tasks?limit={limit}").json
        assert len(page["tasks"]) == min(5, limit)
        assert (page["next"] is None) == (limit >= 5)


def test_a_list_of_one_state(api: Api) -> None:
    by_state: dict[State, int] = {
        state: ended(api, state) for state in State if state not in (State.QUEUED, State.RUNNING)
    }
    by_state[State.RUNNING] = ended(api, State.RUNNING)
    by_state[State.QUEUED] = made(api, 1)[0]
    for state, task_id in by_state.items():
        page = api.get(f"/v1/tasks?state={state}").json
        assert [(task["id"], task["state"]) for task in page["tasks"]] == [(task_id, state)]
    api.store.cancel(by_state[State.QUEUED])  # out of the way of the next
    done = [by_state[State.DONE], ended(api, State.DONE)]
    first = api.get("/v1/tasks?state=done&limit=1").json
    second = api.get(f"/v1/tasks?state=done&limit=1&cursor={first['next']}").json
    assert [first["tasks"][0]["id"], second["tasks"][0]["id"], second["next"]] == [done[1], done[0], None]


def test_what_cannot_be_asked_for(api: Api) -> None:
    for query in (
        "limit=0", "limit=-1", "limit=201", "limit=x", "limit=1.5", "limit=99999999999999999999",
        "cursor=0", "cursor=-1", "cursor=x", "cursor=99999999999999999999", "state=paused", "state=DONE", "state=",
    ):  # fmt: skip
        answer = api.get(f"/v1/tasks?{query}")
        if query == "state=":  # as if it were not there
            assert answer.status in (200, 400)
        else:
            assert_problem(answer, 400, "invalid-request")
    assert api.get("/v1/tasks?cursor=1").json == {"tasks": [], "next": None}


def test_a_waiting_task_is_cancelled_once(api: Api) -> None:
    (task_id,) = made(api, 1)
    answer = api.request("DELETE", f"/v1/tasks/{task_id}")
    assert (answer.status, answer.json["state"]) == (200, "cancelled")
    assert answer.json["finished_at"]
    assert api.get(f"/v1/tasks/{task_id}").json == answer.json
    assert_problem(api.request("DELETE", f"/v1/tasks/{task_id}"), 409, "task-state-conflict")
    assert api.store.claim(1) is None


def test_which_tasks_can_be_cancelled_or_retried(api: Api) -> None:
    for state in (State.DONE, State.FAILED, State.QUARANTINED, State.CANCELLED, State.RUNNING):
        task_id = ended(api, state)
        assert_problem(api.request("DELETE", f"/v1/tasks/{task_id}"), 409, "task-state-conflict")
        answer = api.request("POST", f"/v1/tasks/{task_id}/retry")
        if state in (State.DONE, State.RUNNING):
            assert_problem(answer, 409, "task-state-conflict")
            assert api.get(f"/v1/tasks/{task_id}").json["state"] == state
        else:
            task = answer.json
            assert (answer.status, task["state"], task["attempt"], task["error"]) == (200, "queued", 0, None)
            api.store.cancel(task_id)  # out of the way of the next
    (task_id,) = made(api, 1)
    assert_problem(api.request("POST", f"/v1/tasks/{task_id}/retry"), 409, "task-state-conflict")


def test_a_failed_task_says_why(api: Api) -> None:
    task = api.get(f"/v1/tasks/{ended(api, State.FAILED)}").json
    error = {"code": "operation-failed", "detail": "it would not", "remedy": OperationFailed.remedy}
    assert (task["state"], task["error"]) == ("failed", error)
    assert (task["attempt"], task["worker"], task["result"]) == (1, None, None)


def test_a_task_that_is_not_there(api: Api) -> None:
    for task_id in (1, (1 << 63) - 1, 1 << 63, 10**40):
        for method, path in (
            ("GET", f"/v1/tasks/{task_id}"),
            ("DELETE", f"/v1/tasks/{task_id}"),
            ("POST", f"/v1/tasks/{task_id}/retry"),
            ("GET", f"/v1/tasks/{task_id}/image"),
        ):
            assert_problem(api.request(method, path), 404, "task-not-found")


def test_what_is_no_number_is_no_address(api: Api) -> None:
    for path in ("0", "-1", "1.5", "x", "1/nothing", "1x", "%20", "0x1", "1_0", "01"):
        assert_problem(api.get(f"/v1/tasks/{path}"), 404, "not-found")
