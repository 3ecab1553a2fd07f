"""A real Prometheus, set up as docs/metrics.md says, reads a box, and the dashboard's and the alerts' queries there."""

import contextlib
import functools
import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pivision import tokens
from pivision.config import ROOT
from pivision.history import Cause, History
from tests import needs
from tests.api.conftest import Api, serving
from tests.box import eventually, free_port

PROMTOOL = Path("/usr/bin/promtool")
DOCS = ROOT / "docs"
PICTURE = (ROOT / "tests" / "pictures" / "qrcode-1.webp").read_bytes()
ABSENT_HERE = "temperature"  # where the kernel does not tell


@pytest.fixture(scope="module", autouse=True)
def _prometheus() -> None:
    needs.require("prometheus")


def documented_config(folder: Path, api: Api) -> Path:
    """The configuration of docs/metrics.md, with the address and the file of this place in it; asks every second."""
    _, _, behind = (DOCS / "metrics.md").read_text().partition("# prometheus.yml\n")
    config = yaml.safe_load(behind.partition("\n\n")[0])
    (job,) = config["scrape_configs"]
    token = folder / "pivision-token"
    token.write_text(tokens.create(api.folder / "data" / "secrets", "prometheus", tokens.Scope.READ))
    job["authorization"]["credentials_file"] = str(token)
    job["static_configs"][0]["targets"] = [f"127.0.0.1:{api.port}"]
    config["rule_files"] = [str(DOCS / name) for name in config["rule_files"]]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump({**config, "global": {"scrape_interval": "1s", "evaluation_interval": "1s"}}))
    return file


class Prometheus:
    """One that listens on loopback."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer."""
        url = f"{self._address}/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What it knows now. Raises HTTPError for what is no query."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def value(self, expression: str) -> float | None:
        """The one value; None while there is none."""
        with contextlib.suppress(OSError):
            for found in self.query(expression):
                return float(found["value"][1])
        return None


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that has read a box with a finished task and a restart."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    with serving() as api, api.program("pivision.worker", "1"):
        assert api.post(PICTURE, "operations=codes&wait=20").json["state"] == "done"
        History(api.folder / "data").add("worker_1", Cause.SIGNAL, "terminated by SIGKILL")
        command = [
            str(needs.PROMETHEUS),
            f"--config.file={documented_config(folder, api)}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            found = Prometheus(port)
            eventually(lambda: found.value("up") == 1, f"it reads the box, {folder}/log tells", 60)
            yield found
        finally:
            process.terminate()
            process.wait(30)


def test_it_reads_the_box_with_a_token_that_may_only_read(prometheus: Prometheus) -> None:
    assert prometheus.value('pivision_tasks{state="done", operation="codes"}') == 1
    eventually(
        lambda: prometheus.value('pivision_operation_seconds_count{operation="codes"}') == 1, "the operation is counted"
    )
    assert prometheus.value("pivision_ready") == 1


def test_each_query_of_the_dashboard_is_answered(prometheus: Prometheus) -> None:
    dashboard = json.loads((DOCS / "grafana.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    for query in queries:
        asked = query.replace("$instance", ".*").replace("$__rate_interval", "1m")
        if ABSENT_HERE in query:
            prometheus.query(asked)
        else:
            eventually(functools.partial(prometheus.query, asked), f"an answer to {query}")


def test_it_takes_the_rules_and_none_of_them_fails(prometheus: Prometheus) -> None:
    def evaluated() -> list[dict[str, Any]]:
        rules: list[dict[str, Any]] = prometheus.ask("rules")["groups"][0]["rules"]
        return rules if all(rule["health"] != "unknown" for rule in rules) else []

    rules = eventually(evaluated, "every rule was asked once", 60)
    assert [rule["name"] for rule in rules if rule["health"] != "ok"] == []


def test_a_person_is_woken_when_something_is_wrong_and_not_else() -> None:
    told = subprocess.run(
        [PROMTOOL, "test", "rules", Path(__file__).with_name("alerts_test.yml")], capture_output=True, text=True
    )
    assert told.returncode == 0, told.stdout + told.stderr
