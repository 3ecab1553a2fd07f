"""docs/models.md against the catalogue, the command, and what reads manifests."""

import re
from pathlib import Path

from pivision.config import ROOT
from pivision.models import COMMAND, manifest
from pivision.models.catalogue import FILES
from pivision.models.model import Model

TEXT = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")


def test_the_table_is_the_catalogue() -> None:
    described = re.findall(r"^\| `(\S+)` \| (\S+) \| `(\S+)` \| (\d+) \| (\S+) \|$", TEXT, re.MULTILINE)
    assert described == [
        (
            file.name,
            file.operation if isinstance(file, Model) else "-",
            file.file,
            str(file.origin.size_bytes),
            file.origin.licence,
        )
        for file in FILES.values()
        if file.origin is not None
    ]


def test_the_example_of_a_manifest_is_one(tmp_path: Path) -> None:
    found = re.search(r"^    # models/(\w+\.toml)\n((?:    .+\n)+)", TEXT, re.MULTILINE)
    assert found
    (tmp_path / found[1]).write_text(re.sub("^    ", "", found[2], flags=re.MULTILINE))
    described = manifest.read(tmp_path / found[1])
    assert (described.name, described.labels) == ("parcels", ("parcel", "letter"))


def test_the_commands_are_those_of_the_refusals() -> None:
    for action in ("", " install", " remove"):
        assert f"    {COMMAND}{action}" in TEXT
