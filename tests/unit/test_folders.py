"""Deleted folders come back, and with them the secrets; what is written of a recovery is told once."""

import json
import shutil
import stat
from pathlib import Path

import pytest

from pivision import tokens
from pivision.health.database import RecoveryReports
from pivision.health.folders import Folders


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    (tmp_path / "data").mkdir()
    (tmp_path / "run").mkdir()
    return Folders(tmp_path / "data", tmp_path / "logs", tmp_path / "run")


def look_twice(folders: Folders) -> None:
    """A copy is made of what has not changed since the look before."""
    folders.tend_secrets()
    folders.tend_secrets()


def test_a_missing_folder_is_made_for_its_user_alone(folders: Folders, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "data")
    assert folders.missing() == [tmp_path / "data", tmp_path / "logs"]
    folders.mend(tmp_path / "data")
    assert folders.missing() == [tmp_path / "logs"]
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_tokens_outlive_the_data_folder(folders: Folders, tmp_path: Path) -> None:
    secrets_dir = tmp_path / "data" / "secrets"
    first, second = tokens.create(secrets_dir, "first"), tokens.create(secrets_dir, "second")
    look_twice(folders)
    tokens.remove(secrets_dir, "second")
    look_twice(folders)
    shutil.rmtree(tmp_path / "data")
    folders.mend(tmp_path / "data")
    look_twice(folders)
    assert tokens.find(secrets_dir, first)
    assert not tokens.find(secrets_dir, second), "what was taken back stays so"


def test_without_secrets_there_is_nothing_to_tend(folders: Folders, tmp_path: Path) -> None:
    look_twice(folders)
    assert list((tmp_path / "run").iterdir()) == []


def test_a_recovery_is_told_once(tmp_path: Path) -> None:
    reports = RecoveryReports(tmp_path)
    assert reports.new() is None
    report = {"at": "2026-01-01T00:00:00Z", "cause": "it is empty", "quarantined": 1, "not_recovered": 2}
    (tmp_path / "recovery.json").write_text(json.dumps({**report, "tasks": {"backup": 3, "ledger": 4}}))
    told = "it is empty: recovered at 2026-01-01T00:00:00Z, 7 tasks, 1 without their picture, 2 not recovered"
    assert reports.new() == told
    assert reports.new() is None
    assert RecoveryReports(tmp_path).new() == told


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"tasks": 1}'])
def test_a_report_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "recovery.json").write_text(content)
    assert RecoveryReports(tmp_path).new() is None
