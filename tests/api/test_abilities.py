"""What this machine can do now: told beforehand, and in the same words when a task is refused."""

import json
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from pivision import abilities
from pivision.abilities import Abilities
from pivision.models import Models
from pivision.models.catalogue import CATALOGUE
from tests.api.conftest import Api, assert_problem, png, serving
from tests.box import Answer

WITH_MODELS = {"faces", "objects", "people"}


@pytest.fixture
def api() -> Iterator[Api]:
    """A server of its own: models are installed while it runs."""
    with serving() as api:
        yield api


def publish(api: Api, **told: Any) -> None:
    """Play a worker that tells what its OpenCV can do."""
    mine = {"opencv": "4.6.0", "stand_ins": {}, "text": True, "models": {}}
    abilities.publish(api.run_dir, Abilities(**{**mine, **told}))


def offered(api: Api) -> dict[str, Any]:
    return {operation["name"]: operation for operation in api.get("/v1/operations").json["operations"]}


def refused(api: Api, answer: Answer, code: str, status: int = 409) -> dict[str, Any]:
    """The request was refused so, and nothing is kept of it."""
    assert (api.files(), sum(api.store.counts().values())) == (set(), 0)
    return assert_problem(answer, status, code)


def test_what_needs_a_model_says_so_until_one_is_there(api: Api) -> None:
    publish(api)
    before = offered(api)
    assert {name for name, each in before.items() if not each["available"]} == WITH_MODELS
    for name in WITH_MODELS:
        problem = refused(api, api.post(png(), f"operations={name}"), "model-missing")
        assert before[name]["problem"] == {key: problem[key] for key in ("code", "detail", "remedy")}
        assert "python -m pivision models install" in problem["detail"]
        assert before[name]["model"] is None
    api.install_model()
    after = offered(api)
    assert {name for name, each in after.items() if not each["available"]} == {"faces"}
    assert [after[name]["model"] for name in ("objects", "people")] == ["parcels", "parcels"]
    assert api.post(png(), "operations=objects,people").status == 201


def test_the_models_are_described_for_a_form(api: Api) -> None:
    publish(api)
    api.install_model(labels=("parcel", "letter"))
    told = offered(api)
    assert all(("models" in each) == ("model" in each) == (name in WITH_MODELS) for name, each in told.items())
    catalogue = [model.name for model in CATALOGUE]
    by_name = {each["name"]: each for each in told["objects"]["models"]}
    assert set(by_name) == {name for name in catalogue if "yunet" not in name} | {"parcels"}
    assert by_name["parcels"] == {
        "name": "parcels", "installed": True, "family": "yolox", "labels": 2, "input_side_px": 416,
        "licence": None, "size_bytes": None,
    }  # fmt: skip
    assert by_name["nanodet"]["licence"] == "Apache-2.0"
    assert (by_name["nanodet"]["installed"], by_name["nanodet"]["labels"]) == (False, 80)
    assert {each["name"] for each in told["faces"]["models"]} == {"yunet", "yunet-int8"}
    assert "parcels" not in {each["name"] for each in told["people"]["models"]}, "it knows no person"
    assert not told["people"]["available"]


def test_what_the_worker_tells_counts_at_once(api: Api) -> None:
    assert api.get("/v1/operations").json["opencv"] is None
    assert offered(api)["faces"]["model"] is None
    publish(api, stand_ins={"faces": "haar", "people": "hog"})
    assert api.get("/v1/operations").json["opencv"] == "4.6.0"
    told = offered(api)
    assert [told[name]["model"] for name in ("faces", "people", "objects")] == ["haar", "hog", None]
    assert api.post(png(), "operations=faces,people").status == 201
    publish(api, text=False)
    problem = assert_problem(api.post(png(), "operations=text"), 409, "model-missing")
    assert offered(api)["text"]["problem"]["detail"] == problem["detail"]


def test_a_model_that_does_not_load_is_unusable(api: Api) -> None:
    api.install_model()
    installed = Models(api.folder / "models").choose("objects", "parcels")
    publish(api, models={installed.identity: "unsupported layer"})
    problem = refused(api, api.post(png(), "operations=objects"), "model-unusable")
    assert "unsupported layer" in problem["detail"]
    assert offered(api)["objects"]["problem"]["code"] == "model-unusable"
    api.install_model(labels=("another", "file", "now"))
    (api.folder / "models" / "parcels.onnx").write_bytes(b"a better one")
    assert api.post(png(), "operations=objects").status == 201, "what was told was told of the old file"


def test_a_request_that_is_repeated_gets_its_task_whatever_has_gone_since(api: Api) -> None:
    api.install_model()
    key = {"Idempotency-Key": "once"}
    first = api.post(png(), "operations=objects", key)
    (api.folder / "models" / "parcels.onnx").unlink()
    again = api.post(png(), "operations=objects", key)
    assert (again.status, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.json["id"] == first.json["id"]
    assert_problem(api.post(png("red"), "operations=objects", key), 422, "idempotency-key-reused")
    assert_problem(api.post(png("red"), "operations=objects", {"Idempotency-Key": "other"}), 409, "model-missing")


@pytest.mark.parametrize(
    ("params", "status", "code", "says"),
    [
        ({"labels": ["dgo"]}, 422, "invalid-parameter", "'dog'"),
        ({"model": "parcels", "labels": ["zebra"]}, 422, "invalid-parameter", "zebra"),
        ({"model": "nanodet"}, 409, "model-missing", "install nanodet"),
        ({"model": "nothing"}, 409, "model-missing", "parcels"),
        ({"model": "../secrets"}, 422, "invalid-parameter", "model"),
    ],
)
def test_models_and_labels_are_looked_at_before_anything_is_kept(
    api: Api, params: dict[str, Any], status: int, code: str, says: str
) -> None:
    api.install_model()
    calls = urllib.parse.quote(json.dumps([{"name": "objects", "params": params}]))
    assert says in refused(api, api.post(png(), f"operations={calls}"), code, status)["detail"]


def test_motion_needs_a_source(api: Api) -> None:
    assert "`source`" in refused(api, api.post(png(), "operations=motion"), "invalid-request", 400)["detail"]
    assert api.post(png(), "operations=motion&source=door").status == 201
    assert api.post(png(), "operations=quality").status == 201
