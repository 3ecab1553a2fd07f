"""The documents say what is there: a setting, a route or a command that is not described fails here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import falcon.inspect
import pytest

from pivision import config, doctor
from pivision.api.app import create_app
from pivision.api.feed import Feed
from pivision.api.last_hour import LastHour
from pivision.api.waiting import Waiting
from pivision.config import ROOT, Settings
from pivision.images import Images
from pivision.store import Store
from tests.machine import ordeal

CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
DOCTOR = (ROOT / "docs" / "doctor.md").read_text()
API = (ROOT / "docs" / "api.md").read_text()


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_every_setting_is_described_with_its_default(name: str) -> None:
    row = re.search(rf"^\| `{name}` \| (.+?) \|", CONFIGURATION, re.MULTILINE)
    assert row, f"docs/configuration.md does not describe {name}"
    default = getattr(config.load({"PIVISION_WORKERS": "1", "PIVISION_CONFIG": os.devnull}), name)
    if name == "workers":
        assert row[1] == "cores minus one, at least 1"
    elif name == "task_memory_bytes":
        assert row[1] == "a quarter of the memory, 256 MiB to 1 GiB"
    elif isinstance(default, Path):
        assert row[1] == f'`"{default.relative_to(ROOT)}"`'
    elif isinstance(default, str):
        assert row[1] == f'`"{default}"`'
    else:
        assert float(row[1]) == default


def test_no_setting_is_described_that_is_not_there() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", CONFIGURATION, re.MULTILINE)) == set(Settings.__struct_fields__)


def test_the_routes_described_are_those_that_there_are(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    images = Images(settings.images_dir, reserve_bytes=0)
    store = Store(settings.database)
    app = create_app(
        settings, store, images, Waiting(seats=1), Feed(places=1), LastHour(store), ring_workers=lambda: None
    )
    there = {
        (method.method, re.sub(r"\{[^}]*\}", "ID", route.path))
        for route in falcon.inspect.inspect_routes(app)
        for method in route.methods
        if not method.internal and method.method != "HEAD"
    }
    described = {
        (method, path)
        for row in re.findall(r"^\| (`(?:GET|POST|DELETE) .*?) \|", API, re.MULTILINE)
        for method, path in re.findall(r"`(\w+) (\S+)`", row)
    }
    assert described == there


def test_the_checks_described_are_those_that_there_are() -> None:
    rows = re.findall(r"^\| `([a-z][a-z-]*)` \| .+ \| .+ \|$", DOCTOR, re.MULTILINE)
    assert rows == [doctor.check_id(check) for check in doctor.CHECKS]


def test_the_commands_of_the_readme_are_targets_of_the_makefile() -> None:
    commands = set(re.findall(r"\b(?<!token )make (\w+)", (ROOT / "README.md").read_text()))
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"run", "test", "bench"} <= commands <= targets


def test_each_fault_has_its_row_and_each_row_its_test() -> None:
    collect = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider"]
    listed = subprocess.run(
        [*collect, "-m", "fault", "tests/machine"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
    )
    assert set(re.findall(r"^tests/machine/(\S+::.+)$", listed.stdout, re.MULTILINE)) == set(ordeal.rows())
