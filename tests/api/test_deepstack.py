"""DeepStack's protocol, as its clients speak it. The test plays the worker: what was found is put into the database."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from pivision import abilities, doorbell
from pivision.task import Task, TaskError
from tests.api.conftest import PATIENCE_SECONDS, Api, form, png, serving
from tests.box import Answer, eventually

PICTURE = png(size=(640, 480))
DOG = {"label": "dog", "score": 0.93, "box": {"x": 10.4, "y": 20.6, "width": 100.2, "height": 50}}
PERSON = {"label": "person", "score": 0.51, "box": {"x": -3.5, "y": 400, "width": 700, "height": 90.5}}
FOUND = {"objects": {"milliseconds": 41.6, "model": "parcels", "objects": [DOG, PERSON]}}
PREDICTIONS = [
    {"label": "dog", "confidence": 0.93, "x_min": 10, "y_min": 21, "x_max": 111, "y_max": 71},
    {"label": "person", "confidence": 0.51, "x_min": 0, "y_min": 400, "x_max": 640, "y_max": 480},
]
ADDRESSES = ["/v1/vision/detection", "/v1/vision/face", "/v1/vision/custom/parcels", "/v1/vision/custom/list"]


class Worker(threading.Thread):
    """Ends the next `count` tasks in the same way, and keeps what they were."""

    def __init__(self, api: Api, outcome: dict[str, Any] | TaskError, count: int = 1) -> None:
        super().__init__()
        self.seen: list[Task] = []
        self._api, self._outcome, self._count = api, outcome, count

    def run(self) -> None:
        store = self._api.store
        for _ in range(self._count):
            task = eventually(lambda: store.claim(1), "there is a task")
            if isinstance(self._outcome, TaskError):
                store.fail(task, self._outcome, b"{}")
            else:
                store.finish(task, msgspec.json.encode(self._outcome))
            self.seen.append(task)
            doorbell.ring(doorbell.server_bell(self._api.run_dir), str(task.id).encode())


@contextlib.contextmanager
def working(api: Api, outcome: dict[str, Any] | TaskError) -> Iterator[list[Task]]:
    """A worker for one task; what it has seen."""
    worker = Worker(api, outcome)
    worker.start()
    yield worker.seen
    worker.join(PATIENCE_SECONDS)
    assert len(worker.seen) == 1


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    """A server with a model, an owner's own."""
    with serving(max_wait_seconds=20) as api:
        api.install_model()
        yield api


@pytest.fixture
def unattended() -> Iterator[Api]:
    """Nobody works here, and nobody waits for long."""
    with serving(max_wait_seconds=0.3, server_threads=4) as api:
        api.install_model()
        yield api


def post(api: Api, path: str, *parts: tuple[str, bytes | str], token: str | None = None) -> Answer:
    """A form, with the token as one of its fields unless another is given, and without a header."""
    fields = [("api_key", api.token if token is None else token)] if token != "" else []
    body, headers = form(*parts, *fields)
    return api.request("POST", path, body, {**headers, "Authorization": ""})


def refused(answer: Answer, status: int, says: str = "") -> None:
    """As these clients expect it: `success` and `error`."""
    told = answer.json
    assert (answer.status, told["success"], told["code"]) == (status, False, status), told
    assert answer.headers["Content-Type"] == "application/json"
    assert says in told["error"]
    assert "predictions" not in told


def kept(api: Api) -> tuple[set[str], Any]:
    return api.files(), api.store.counts()


def test_what_was_found_is_answered_in_whole_pixels_within_the_picture(api: Api) -> None:
    with working(api, FOUND) as seen:
        answer = post(api, "/v1/vision/detection", ("image", PICTURE))
    told = answer.json
    assert (answer.status, told["success"], told["code"], told["predictions"]) == (200, True, 200, PREDICTIONS)
    assert all(type(each[side]) is int for each in told["predictions"] for side in ("x_min", "y_min", "x_max", "y_max"))
    assert (told["count"], told["message"], told["command"]) == (2, "Found dog, person", "detect")
    assert told["inferenceMs"] == 42
    assert 0 <= told["processMs"] <= told["analysisRoundTripMs"] < PATIENCE_SECONDS * 1000
    assert {"duration", "moduleId"} <= set(told)
    (task,) = seen
    assert task.lane == "live"
    assert msgspec.json.decode(task.operations) == [
        {"name": "objects", "params": {"model": None, "labels": [], "min_score": 0.4}}
    ]
    assert api.get(f"/v1/tasks/{task.id}").json["lane"] == "live"


def test_nothing_found_is_a_success(api: Api) -> None:
    with working(api, {"objects": {"milliseconds": 1, "model": "parcels", "objects": []}}):
        told = post(api, "/v1/vision/detection", ("image", PICTURE)).json
    assert (told["success"], told["count"], told["predictions"]) == (True, 0, [])


def test_a_custom_model_by_its_name(api: Api) -> None:
    with working(api, FOUND) as seen:
        told = post(api, "/v1/vision/custom/parcels", ("image", PICTURE), ("min_confidence", "0.75")).json
    assert (told["success"], told["command"], told["count"]) == (True, "custom", 2)
    assert msgspec.json.decode(seen[0].operations)[0]["params"] == {
        "model": "parcels",
        "labels": [],
        "min_score": 0.75,
    }


def test_faces(api: Api) -> None:
    publish(api, faces="haar")
    box = {"x": 1, "y": 2, "width": 3, "height": 4}
    face = {"box": box, "score": 0.8, "landmarks": None}
    with working(api, {"faces": {"milliseconds": 1, "model": "x", "faces": [face, {**face, "score": None}]}}) as seen:
        told = post(api, "/v1/vision/face", ("image", PICTURE)).json
    edges = {"x_min": 1, "y_min": 2, "x_max": 4, "y_max": 6}
    assert told["predictions"] == [{"label": "face", "confidence": score, **edges} for score in (0.8, 1.0)]
    params = {"min_score": 0.4, "max_side_px": 640}
    assert msgspec.json.decode(seen[0].operations) == [{"name": "faces", "params": params}]


def publish(api: Api, **stand_ins: str) -> None:
    """What a worker tells of its OpenCV."""
    abilities.publish(api.run_dir, abilities.Abilities(opencv="4.6.0", stand_ins=stand_ins, text=True, models={}))


def test_the_custom_models_are_listed(api: Api) -> None:
    told = post(api, "/v1/vision/custom/list").json
    assert (told["success"], told["models"]) == (True, ["parcels"])
    bare = api.request("POST", "/v1/vision/custom/list", headers=api.headers)
    assert bare.json["models"] == ["parcels"], "with a header, and no form at all"


# The forms that clients send. Frigate and deepstack-python: requests' files={"image": bytes}, a file without a type.


def raw_form(*parts: bytes) -> tuple[bytes, dict[str, str]]:
    body = b"".join(b"--b\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts)
    return body + b"--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"}


FORMS = {
    "Frigate": [b'name="api_key"\r\n\r\nTOKEN', b'name="image"; filename="image"\r\n\r\nPICTURE'],
    "Blue Iris": [
        b'name="image"; filename="D1.20261122_101500.jpg"\r\nContent-Type: image/jpeg\r\n\r\nPICTURE',
        b'name="min_confidence"\r\n\r\n0.4',
        b'name="api_key"\r\n\r\nTOKEN',
    ],
    "a file of another name": [
        b'name="api_key"\r\n\r\nTOKEN',
        b'name="snapshot"; filename="cam.jpg"\r\nContent-Type: image/jpeg\r\n\r\nPICTURE',
    ],
    "unknown fields": [
        b'name="api_key"\r\n\r\nTOKEN',
        b'name="camera"\r\n\r\nfront',
        b'name="image"; filename="a.jpg"\r\n\r\nPICTURE',
        b'name="admin_key"\r\n\r\n',
        b'name="min_confidence"\r\n\r\n',
    ],
    "an image without a file name": [
        b'name="image"\r\nContent-Type: image/jpeg\r\n\r\nPICTURE',
        b'name="api_key"\r\n\r\nTOKEN',
    ],
}


@pytest.mark.parametrize("client", FORMS)
def test_the_forms_that_clients_send(api: Api, client: str) -> None:
    parts = [part.replace(b"TOKEN", api.token.encode()).replace(b"PICTURE", PICTURE) for part in FORMS[client]]
    body, headers = raw_form(*parts)
    with working(api, FOUND) as seen:
        answer = api.request("POST", "/v1/vision/detection", body, {**headers, "Authorization": ""})
    assert (answer.status, answer.json["predictions"]) == (200, PREDICTIONS)
    assert seen[0].image.size_bytes == len(PICTURE)


@pytest.fixture
def core() -> Any:
    """The client library of DeepStack's own time, which Home Assistant's integrations use."""
    command = ".venv/bin/python -m pip install --no-deps deepstack-python==0.9"
    return pytest.importorskip("deepstack.core", reason=f"no client of DeepStack: {command}")


def test_a_client_of_deepstack_understands(api: Api, core: Any) -> None:
    def client(**options: Any) -> Any:
        return core.DeepstackObject(ip="127.0.0.1", port=api.port, **{"api_key": api.token, **options})

    with working(api, FOUND) as seen:
        predictions = client(min_confidence=0.45).detect(PICTURE)
    assert predictions == PREDICTIONS
    assert core.get_objects_summary(predictions) == {"dog": 1, "person": 1}
    assert b'"min_score":0.45' in bytes(seen[0].operations)
    with working(api, FOUND) as seen:
        assert client(custom_model="parcels").detect(PICTURE) == PREDICTIONS
    assert b'"model":"parcels"' in bytes(seen[0].operations)
    with pytest.raises(core.DeepstackException, match="401"):
        client(api_key="wrong").detect(PICTURE)
    with pytest.raises(core.DeepstackException, match="404"):
        client(custom_model="nothing").detect(PICTURE)


# Who may ask.


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize("token", ["", "wrong", "x" * 100_000])
def test_without_a_token_nothing_is_told_or_kept(api: Api, path: str, token: str) -> None:
    before = kept(api)
    refused(post(api, path, ("image", PICTURE), token=token), 400 if len(token) > 65536 else 401)
    refused(api.request("POST", path, PICTURE, {"Content-Type": "image/png", "Authorization": ""}), 401)
    refused(api.request("POST", f"{path}?api_key={api.token}", headers={"Authorization": ""}), 401)
    assert kept(api) == before


@pytest.mark.parametrize("path", [*ADDRESSES, "/v1/vision", "/v1/vision/nothing", "/v1/vision/../tasks", "/v1//vision"])
def test_other_methods_and_addresses_are_guarded_or_not_there(api: Api, path: str) -> None:
    assert api.request("GET", path, headers={"Authorization": ""}).status == 401
    if path not in ADDRESSES:
        assert api.request("POST", path, headers={"Authorization": ""}).status in (401, 404)


def test_the_bearer_counts_too(api: Api) -> None:
    body, headers = form(("image", PICTURE), ("api_key", "wrong"))
    with working(api, FOUND):
        assert api.request("POST", "/v1/vision/detection", body, headers).status == 200


def test_everybody_may_ask_where_no_token_is_asked_for() -> None:
    with serving(auth="none") as api:
        api.install_model()
        with working(api, FOUND):
            assert post(api, "/v1/vision/detection", ("image", PICTURE), token="").status == 200


def test_the_key_is_written_nowhere(api: Api) -> None:
    with working(api, FOUND):
        post(api, "/v1/vision/detection", ("image", PICTURE))
    post(api, "/v1/vision/detection", ("image", b"no picture"))
    for file in api.folder.rglob("*"):
        if file.is_file():
            assert api.token.encode() not in file.read_bytes(), file


# What is refused, in their form and with the statuses that they know.

WRONG: dict[str, tuple[str, list[tuple[str, bytes | str]], int, str]] = {
    "no picture": ("detection", [], 400, "`image`"),
    "an empty picture": ("detection", [("image", b"")], 400, "no bytes"),
    "no image": ("detection", [("image", b"this is none")], 400, ""),
    "cut off": ("detection", [("image", PICTURE[:-20])], 400, ""),
    "two pictures": ("detection", [("image", PICTURE), ("image", PICTURE)], 400, "more than one"),
    "too many pixels": ("detection", [("image", png(size=(1200, 1200)))], 413, "max_image_pixels"),
    "too large": ("detection", [("image", PICTURE + bytes(300_000))], 413, "max_upload_bytes"),
    "a confidence of 40": ("detection", [("image", PICTURE), ("min_confidence", "40")], 400, "min_confidence"),
    "a confidence that is none": ("face", [("image", PICTURE), ("min_confidence", "high")], 400, "'high'"),
    "nan": ("custom/parcels", [("image", PICTURE), ("min_confidence", "nan")], 400, "min_confidence"),
    "an unknown model": ("custom/Parcels", [("image", PICTURE)], 404, "parcels"),
    "a model for something else": ("custom/yunet", [("image", PICTURE)], 404, "yunet"),
    "a model that is not installed": ("custom/nanodet", [("image", PICTURE)], 409, "models install nanodet"),
    "an unknown address": ("scene", [("image", PICTURE)], 404, ""),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_told_in_their_form_and_nothing_is_kept(api: Api, kind: str) -> None:
    path, parts, status, says = WRONG[kind]
    before = kept(api)
    refused(post(api, f"/v1/vision/{path}", *parts), status, says)
    assert kept(api) == before


def test_a_broken_form_is_told_in_their_form(api: Api) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=other"}
    refused(api.request("POST", "/v1/vision/detection", form(("image", PICTURE))[0], headers), 400)


@pytest.mark.parametrize(
    ("code", "status"),
    [("image-undecodable", 400), ("model-unusable", 409), ("out-of-memory", 500), ("unheard-of", 500)],
)
def test_a_task_that_fails_is_an_error(api: Api, code: str, status: int) -> None:
    with working(api, TaskError(code, "what went wrong")):
        refused(post(api, "/v1/vision/detection", ("image", PICTURE)), status, "what went wrong")


def test_without_a_model_it_says_what_to_install() -> None:
    with serving() as api:
        publish(api)
        for path, name in (("detection", "objects"), ("face", "faces")):
            refused(post(api, f"/v1/vision/{path}", ("image", PICTURE)), 409, f"models install {name}")
        assert api.files() == set()
        assert post(api, "/v1/vision/custom/list").json["models"] == []


def test_who_waits_in_vain_is_told_and_the_task_is_taken_back(unattended: Api) -> None:
    answer = post(unattended, "/v1/vision/detection", ("image", PICTURE))
    refused(answer, 503, "0.3 s")
    assert answer.headers["Retry-After"]
    (task,) = unattended.store.page(10)
    assert (task.state, task.lane) == ("cancelled", "live")


def test_a_task_at_work_is_left_to_its_worker(unattended: Api) -> None:
    claimed: list[Task] = []
    store = unattended.store
    claiming = threading.Thread(target=lambda: claimed.append(eventually(lambda: store.claim(1), "a task")))
    claiming.start()
    refused(post(unattended, "/v1/vision/detection", ("image", PICTURE)), 503)
    claiming.join(PATIENCE_SECONDS)
    assert store.get(claimed[0].id).state == "running"


def test_there_are_so_many_seats_and_the_rest_is_turned_away_at_once() -> None:
    with serving(server_threads=4) as api:
        api.install_model()
        answers: list[Answer] = []
        ask = lambda: answers.append(post(api, "/v1/vision/detection", ("image", PICTURE)))  # noqa: E731
        waiting = [threading.Thread(target=ask) for _ in range(2)]
        for thread in waiting:
            thread.start()
        eventually(lambda: sum(api.store.counts().values()) == 2, "both wait")
        before = kept(api)
        refused(post(api, "/v1/vision/detection", ("image", png("red"))), 503, "seat")
        assert kept(api) == before
        worker = Worker(api, FOUND, count=2)
        worker.start()
        for thread in (*waiting, worker):
            thread.join(PATIENCE_SECONDS)
        assert [answer.status for answer in answers] == [200, 200]


def test_live_tasks_go_ahead_of_the_batch(unattended: Api) -> None:
    batch = [unattended.post(png()).json["id"] for _ in range(3)]
    refused(post(unattended, "/v1/vision/detection", ("image", PICTURE)), 503)
    store = unattended.store
    live = store.retry(store.page(1)[0].id)
    assert live.id > max(batch)
    taken = [store.claim(1) for _ in range(4)]
    assert [task.id for task in taken if task] == [live.id, *batch]
