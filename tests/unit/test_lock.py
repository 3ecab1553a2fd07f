"""What `make lock` writes belongs to the pins: the hashes that pip asks for, and the bill of materials."""

import json
import platform
import re

import pytest

from pivision.config import ROOT
from pivision.install import venv
from tests import lock

STALE = "run: make lock"


@pytest.mark.parametrize("name", lock.LISTS)
def test_the_lock_has_these_pins_and_no_others(name: str) -> None:
    file = ROOT / f"{name}.lock"
    locked = re.findall(r"^([\w-]+==\S+) ", file.read_text(), re.MULTILINE)
    pins = [f"{package.replace('_', '-').lower()}=={version}" for package, version in lock.pins(name).items()]
    assert sorted(locked) == sorted(pins), STALE
    for pin in pins:
        hashes = venv.hashes_of(pin, file)
        assert hashes
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes)


def test_the_bill_of_materials_names_each_pin_with_its_licence() -> None:
    components = json.loads(lock.SBOM.read_text(encoding="utf-8"))["components"]
    pinned = {package: version for name in lock.LISTS for package, version in lock.pins(name).items()}
    del pinned["opencv-python-headless"]
    assert {each["name"]: each["version"] for each in components} == pinned, STALE
    assert lock.TABLE.read_text(encoding="utf-8").endswith(f"\n\n{lock.table(components)}"), STALE
    every = [*components, *(library for each in components for library in each.get("components", ()))]
    assert all(each["licenses"][0]["license"]["name"] not in ("", "unknown") for each in every)


def test_the_bill_of_materials_is_that_of_this_environment() -> None:
    """But for OpenCV, of which there are two builds, and for optional parts; wheels for ARM hold other libraries."""
    written = {each["name"]: each for each in json.loads(lock.SBOM.read_text(encoding="utf-8"))["components"]}
    for name in lock.pins("requirements"):
        if not name.startswith("opencv"):
            here = lock.component(name, written[name]["version"])
            if platform.machine() == "x86_64":
                assert here == written[name], STALE
            assert here["licenses"] == written[name]["licenses"], STALE
