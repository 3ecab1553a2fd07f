"""What Prometheus is told, read as Prometheus reads it."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from pivision import __version__, history, tokens
from pivision.api import queue_age
from pivision.api.ends import Ends
from pivision.api.queue_age import QueueAge
from pivision.config import ROOT
from pivision.history import Cause, History
from pivision.operations import OPERATIONS
from pivision.store import Store
from pivision.task import Image, NewTask, State, TaskError
from tests.api.conftest import Api, png, serving
from tests.box import eventually

DOCS = ROOT / "docs"
PICTURE = (ROOT / "tests" / "pictures" / "qrcode-1.webp").read_bytes()
ABSENT_HERE = "pivision_temperature_celsius"  # where the kernel does not tell


def scrape(api: Api) -> dict[str, Metric]:
    answer = api.get("/metrics")
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return {family.name: family for family in text_string_to_metric_families(answer.body.decode())}


def value(metrics: dict[str, Metric], sample_name: str, **labels: str) -> float | None:
    """Of the one sample of this name that has these labels; None without any."""
    found = [
        sample.value
        for family in metrics.values()
        for sample in family.samples
        if sample.name == sample_name and labels.items() <= sample.labels.items()
    ]
    assert len(found) <= 1, found
    return found[0] if found else None


def full_names(metrics: dict[str, Metric]) -> set[str]:
    return {family.name + ("_total" if family.type == "counter" else "") for family in metrics.values()}


def documented() -> dict[str, tuple[str, set[str]]]:
    rows = re.findall(r"^\| `(pivision_\w+)` \| (\w+) \| (.*?) ?\| ", (DOCS / "metrics.md").read_text(), re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def named_in(expression: str) -> set[str]:
    """The metrics that a query asks for, as the documents call them."""
    histograms = {name for name, (kind, _) in documented().items() if kind == "histogram"}
    names = set(re.findall(r"\bpivision_\w+", expression))
    return {re.sub(r"_(bucket|count|sum)$", "", n) if n.rpartition("_")[0] in histograms else n for n in names}


def test_the_metrics_described_are_those_that_there_are(api: Api) -> None:
    History(api.folder / "data").add("server", Cause.EXIT, "it ended")
    scrape(api)
    metrics = scrape(api)
    assert full_names(metrics) | {ABSENT_HERE} == set(documented())
    for name, (kind, labels) in documented().items():
        family = metrics.get(name.removesuffix("_total"))
        if family is not None:
            assert family.type == kind
            assert family.documentation
            assert {label for sample in family.samples for label in sample.labels} - {"le"} == labels


def test_it_is_given_as_openmetrics_to_who_asks_for_it(api: Api) -> None:
    answer = api.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    names = {family.name for family in openmetrics.text_string_to_metric_families(answer.body.decode())}  # type: ignore[no-untyped-call]
    assert "pivision_ready" in names


def test_a_task_is_seen_on_its_way(working: Api) -> None:
    before = scrape(working)
    assert working.post(PICTURE, "operations=codes,quality&wait=20").json["state"] == "done"
    after = scrape(working)
    for name, grown in (("codes", 1), ("quality", 1), ("faces", 0)):
        counted = [value(metrics, "pivision_operation_seconds_count", operation=name) for metrics in (before, after)]
        assert counted == [0, grown]
        assert value(after, "pivision_tasks", state="done", operation=name) == grown
    assert value(after, "pivision_operation_seconds_sum", operation="codes") > 0  # type: ignore[operator]
    assert value(after, "pivision_attempts_total") == 1
    assert value(after, "pivision_tasks_by_state", state="done") == 1
    assert value(after, "pivision_ready") == 1
    assert (value(after, "pivision_workers", fresh="true"), value(after, "pivision_workers", fresh="false")) == (1, 0)
    again = scrape(working)
    assert value(again, "pivision_operation_seconds_count", operation="codes") == 1, "each task is counted once"
    assert value(again, "pivision_attempts_total") == 1


def test_each_task_is_counted_once_and_none_from_before(tmp_path: Path) -> None:
    """All of them end in one second of the appliance's clock, which nobody advances here."""
    store = Store(tmp_path / "pivision.db")
    image = Image(sha256="0" * 64, format="png", width_px=1, height_px=1, size_bytes=1)

    def end(result: bytes | None) -> None:
        store.add(NewTask(image=image, operations=msgspec.Raw(b'[{"name": "codes"}]')))
        task = store.claim(worker=1)
        assert task
        if result is None:
            store.quarantine(task, TaskError("worker-died", "it died"))
        else:
            store.finish(task, result)

    end(b'{"codes": {"milliseconds": 1000}}')
    registry = CollectorRegistry()
    ends = Ends(store, registry, (1.0, 10.0))
    for counted in range(3):
        assert registry.get_sample_value("pivision_operation_seconds_sum", {"operation": "codes"}) == 2 * counted
        assert registry.get_sample_value("pivision_attempts_total") == 2 * counted
        end(b'{"codes": {"milliseconds": 2000}, "retired": {"milliseconds": 1}}')
        end(None)
        ends.count()
        ends.count()


def test_the_box_is_described() -> None:
    with serving(disk_reserve_bytes=12345) as api:
        api.post(png())
        metrics = scrape(api)
        assert value(metrics, "pivision_disk_reserve_bytes") == 12345
        assert value(metrics, "pivision_disk_free_bytes") > 0  # type: ignore[operator]
        assert value(metrics, "pivision_memory_available_bytes") > 0  # type: ignore[operator]
        assert value(metrics, "pivision_build_info", version=__version__) == 1
        assert value(metrics, "pivision_ready") == 0, "there is no worker"
        assert value(metrics, "pivision_tasks", state="queued", operation="codes") == 1
        waited = eventually(lambda: value(scrape(api), "pivision_queue_age_seconds"), "the task waits")
        assert waited < 60
        for labels, times in ((("worker_1", Cause.SIGNAL), 3), (("server", Cause.EXIT), 1)):
            for _ in range(times):
                History(api.folder / "data").add(*labels, "it ended")
        assert len(history.read(api.folder / "data")) == 2
        metrics = scrape(api)
        assert value(metrics, "pivision_restarts_total", program="server", cause="exit") == 1
        restarts = value(metrics, "pivision_restarts_total", program="worker_1", cause="signal")
        assert restarts == sum(e.times for e in history.read(api.folder / "data") if e.program == "worker_1")
        assert scrape(api)["pivision_restarts"].samples == metrics["pivision_restarts"].samples, "each is counted once"


def test_labels_are_few_whatever_is_asked_for(api: Api) -> None:
    for path in ("/v1/tasks/999991", "/v1/tasks/999992", "/nowhere/at/all", "/v1/nowhere"):
        assert api.get(path).status == 404
    api.raw(b"BREW /v1/tasks HTTP/1.1\r\nHost: pi\r\nConnection: close\r\n\r\n")
    assert api.request("GET", "/v1/system", headers={"Authorization": "Bearer wrong"}).status == 401
    metrics = scrape(api)
    assert value(metrics, "pivision_http_requests_total", route="/v1/tasks/{task_id}", method="GET", status="404") == 2
    assert value(metrics, "pivision_http_requests_total", route="other", method="GET", status="404") == 2
    assert value(metrics, "pivision_http_requests_total", route="other", method="GET", status="401") == 1
    samples = [sample for family in metrics.values() for sample in family.samples]
    assert {s.labels["method"] for s in samples if "method" in s.labels} <= {"GET", "POST", "HEAD", "other"}
    routes = {s.labels["route"] for s in samples if "route" in s.labels}
    assert not any("99999" in route or "nowhere" in route for route in routes)
    assert {s.labels["operation"] for s in samples if "operation" in s.labels} == set(OPERATIONS)
    assert {s.labels["state"] for s in samples if "state" in s.labels} == set(State)


@pytest.mark.parametrize("name", ["grafana.json", "alerts.yml"])
def test_dashboard_and_alerts_ask_for_metrics_that_there_are(name: str) -> None:
    text = (DOCS / name).read_text()
    if name == "grafana.json":
        dashboard = json.loads(text)
        queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        assert {name for query in queries for name in named_in(query)} == set(documented()), "each metric is shown"
    else:
        (group,) = yaml.safe_load(text)["groups"]
        queries = [rule["expr"] for rule in group["rules"] if rule["alert"] and rule["annotations"]["summary"]]
    assert len(queries) > 5
    asked = {name for query in [*queries, text] for name in named_in(query)}
    assert asked <= set(documented()) | {"pivision"}


def test_the_age_of_the_queue_goes_by_the_looks_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(queue_age, "time", SimpleNamespace(monotonic=lambda: now))
    age = QueueAge()

    def look(seconds: float, oldest_id: int | None, last_id: int) -> float:
        nonlocal now
        now = 1000.0 + seconds
        return age.seconds(oldest_id, last_id)

    assert look(0, None, 0) == 0
    assert look(10, 1, 2) == 0, "it was made since the last look"
    assert look(20, 1, 5) == 10
    assert look(30, 2, 5) == 20, "the first is done; the next was there in the second look, too"
    assert look(40, 4, 9) == 20
    assert look(50, 1, 9) == 0, "a person queued it again"
    assert look(60, None, 9) == 0
    assert look(70, 3, 9) == 0, "and this one, too"
    assert look(80, 3, 9) == 10


def test_a_credentials_file_is_enough_for_prometheus(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "pivision-token"
    file.write_text(
        tokens.create(api.folder / "data" / "secrets", "prometheus", tokens.Scope.READ)
    )  # and Prometheus sends what is in it behind `Bearer `
    assert api.request("GET", "/metrics", headers={"Authorization": f"Bearer {file.read_text()}"}).status == 200
    assert api.request("GET", "/metrics", headers={"Authorization": ""}).status == 401
