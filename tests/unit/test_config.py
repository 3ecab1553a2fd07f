"""The settings: where they come from, which one wins, and what is said of each mistake."""

import os
from pathlib import Path
from typing import Any

import pytest

from pivision import config
from pivision.config import Settings
from pivision.errors import ConfigInvalid


def load(tmp_path: Path, toml: str = "", **environment: str) -> Settings:
    """The settings of this pivision.toml and these variables."""
    file = tmp_path / "pivision.toml"
    file.write_text(toml)
    return config.load({"PIVISION_CONFIG": str(file), "PATH": "/bin", **environment})


def test_the_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings == Settings()
    assert (settings.host, settings.port, settings.supervisor_port, settings.auth) == ("::", 8080, 9001, "token")
    assert (settings.max_upload_bytes, settings.max_image_pixels, settings.max_attempts) == (20_000_000, 50_000_000, 3)
    assert settings.workers == max(1, len(os.sched_getaffinity(0)) - 1)
    assert settings.database == config.ROOT / "data" / "pivision.db"
    assert settings.images_dir == config.ROOT / "data" / "images"


def test_the_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    toml = 'port = 8181\nauth = "none"\nmax_age_days = 7\ntask_deadline_seconds = 12.5\n'
    settings = load(tmp_path, toml, PIVISION_PORT="8282", PIVISION_WORKERS="3")
    assert (settings.port, settings.workers) == (8282, 3)
    assert (settings.auth, settings.max_age_days, settings.task_deadline_seconds) == ("none", 7, 12.5)


def test_what_is_not_for_us_is_left_alone(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        PIVISION_ROOT="/",
        PIVISION_PYTHON="python",
        PIVISION_WEB_PASSWORD_SHA="{SHA}",
        PORT="1",
        PIVISIONS="2",
    )
    assert settings == Settings()


@pytest.mark.parametrize(
    ("toml", "key", "says"),
    [
        ("prot = 8080", "prot", "'port'"),
        ("max_upload_byte = 1", "max_upload_byte", "'max_upload_bytes'"),
        ("PORT = 8080", "PORT", "no such setting"),
        ("[server]\nport = 8080", "server", "no such setting"),
        ("zzz = 1", "zzz", "no such setting"),
        ('port = "8080"', "port", "int"),
        ("port = 80.5", "port", "int"),
        ("port = true", "port", "int"),
        ("port = 0", "port", "1"),
        ("port = 65536", "port", "65535"),
        ("workers = 0", "workers", "1"),
        ("workers = 65", "workers", "64"),
        ("server_threads = 3", "server_threads", "4"),
        ("max_upload_bytes = 10", "max_upload_bytes", "1024"),
        ("max_age_days = 0", "max_age_days", "0"),
        ("max_age_days = nan", "max_age_days", ""),
        ("max_age_days = inf", "max_age_days", ""),
        ("task_deadline_seconds = nan", "task_deadline_seconds", ""),
        ("task_deadline_seconds = -1", "task_deadline_seconds", "0"),
        ("task_memory_bytes = 1000", "task_memory_bytes", "67108864"),
        ("task_memory_bytes = 99999999999999999999", "task_memory_bytes", ""),
        ('auth = "basic"', "auth", "basic"),
        ("host = 5", "host", "str"),
        ('host = "http://pi"', "host", "regex"),
        ('host = "my pi"', "host", "regex"),
        ('host = "pi..local"', "host", "no name"),
        ("data_dir = 5", "data_dir", "str"),
        ("supervisor_port = 8080", "supervisor_port", "8080"),
        ("database_timeout_seconds = 60", "database_timeout_seconds", "task_deadline_seconds"),
        (f'run_dir = "/tmp/{"x" * 100}"', "run_dir", "too long"),
        ('run_dir = "data"', "run_dir", "different"),
        ('log_dir = "x"\ndata_dir = "x"', "run_dir", "different"),
        ('log_dir = "data/../run"', "run_dir", "different"),
        ('models_dir = "data"', "models_dir", "another folder"),
        ('models_dir = "x"\nrun_dir = "x"', "models_dir", "another folder"),
        ('models_at_start = "faces,codes"', "models_at_start", "'codes'"),
        ('models_at_start = "faces objects"', "models_at_start", "'faces objects'"),
        ('models_at_start = ["faces"]', "models_at_start", "str"),
        ('host_names = "http://pi.example.org"', "host_names", "regex"),
        ('model_mirror = "ftp://example.org"', "model_mirror", "https"),
        ("model_mirror = 5", "model_mirror", "str"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_file_and_key(tmp_path: Path, toml: str, key: str, says: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path, toml)
    assert key in str(caught.value)
    assert says in str(caught.value)
    if toml.startswith(key) and toml.count("=") == 1:
        assert f"{tmp_path / 'pivision.toml'}: {key}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PIVISION_PROT", "1", "'port'"),
        ("PIVISION_PORT", "http", "'http'"),
        ("PIVISION_PORT", "", "''"),
        ("PIVISION_PORT", "70000", "65535"),
        ("PIVISION_AUTH", "off", "'off'"),
        ("PIVISION_MAX_AGE_DAYS", "a month", "'a month'"),
        ("PIVISION_MAX_AGE_DAYS", "nan", "nan"),
        ("PIVISION_MAX_AGE_DAYS", "inf", "inf"),
        ("PIVISION_SUPERVISOR_PORT", "8080", "8080"),
        ("PIVISION_MODELS_AT_START", "face", "'face'"),
        ("PIVISION_MODEL_MIRROR", "s3://models", "https"),
        ("PIVISION_DATABASE_TIMEOUT_SECONDS", "60.0", "task_deadline_seconds"),
    ],
)
def test_a_mistake_in_the_environment_is_named_with_its_variable(
    tmp_path: Path, name: str, value: str, says: str
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path, **{name: value})
    assert name in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize("content", [b"port = ", b"port 8080", b"\xff\xfe", b"port = 1\nport = 2"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "pivision.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigInvalid, match=r"pivision\.toml"):
        config.load({"PIVISION_CONFIG": str(file)})


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"PIVISION_CONFIG.*nowhere\.toml"):
        config.load({"PIVISION_CONFIG": str(tmp_path / "nowhere.toml")})
    with pytest.raises(ConfigInvalid, match=str(tmp_path)):
        config.load({"PIVISION_CONFIG": str(tmp_path)})  # a folder


def test_relative_paths_start_at_the_project(tmp_path: Path) -> None:
    settings = load(tmp_path, 'data_dir = "else/where"', PIVISION_LOG_DIR="~/logs", PIVISION_RUN_DIR="/run/pv")
    assert settings.data_dir == config.ROOT / "else" / "where"
    assert settings.log_dir == Path.home() / "logs"
    assert settings.run_dir == Path("/run/pv")


def test_the_models_to_load_at_start_are_operations(tmp_path: Path) -> None:
    settings = load(tmp_path, PIVISION_MODELS_AT_START=" faces, people,text,")
    assert settings.operations_at_start == ["faces", "people", "text"]
    assert Settings().operations_at_start == []


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ("https://example.org/models", "https://example.org/models"),
        ("file:///media/a%20stick", "file:///media/a%20stick"),
        ("../shared/models", str(config.ROOT.parent / "shared" / "models")),
        ("/media/stick/", "/media/stick"),
        ("~/models", str(Path.home() / "models")),
        ("", ""),
    ],
)
def test_a_mirror_is_a_folder_or_an_address(tmp_path: Path, given: str, means: str) -> None:
    assert load(tmp_path, PIVISION_MODEL_MIRROR=given).model_mirror == means
    assert load(tmp_path, f'model_mirror = "{given}"').model_mirror == means


def test_host_names_have_commas_between_them(tmp_path: Path) -> None:
    settings = load(tmp_path, PIVISION_HOST_NAMES=" pi.example.org,box.example.org, ")
    assert settings.known_hosts == ["pi.example.org", "box.example.org"]
    assert Settings().known_hosts == []


CHANGED: dict[str, Any] = {
    "host": "127.0.0.1",
    "port": 8181,
    "supervisor_port": 9191,
    "auth": "none",
    "host_names": "pi.example.org, box.example.org",
    "session_idle_days": 0.5,
    "session_days": 365.0,
    "data_dir": Path("/srv/data"),
    "log_dir": Path("/srv/a folder/logs"),
    "models_dir": Path("/srv/models"),
    "run_dir": Path("/srv/run"),
    "workers": 7,
    "server_threads": 5,
    "event_streams": 5,
    "max_wait_seconds": 0.25,
    "max_upload_bytes": 4096,
    "max_image_pixels": 1,
    "database_timeout_seconds": 1e-05,
    "max_connections": 1000,
    "max_connections_per_address": 500,
    "max_head_bytes": 8192,
    "max_head_lines": 50,
    "max_chunk_line_bytes": 100,
    "head_timeout_seconds": 5.0,
    "idle_timeout_seconds": 5.0,
    "min_transfer_bytes_per_second": 0.5,
    "transfer_window_seconds": 5.0,
    "max_spool_bytes": 1 << 30,
    "max_spool_bytes_per_address": 1 << 29,
    "max_keyless_form_bytes": 1 << 20,
    "max_keyless_forms_bytes": 1 << 24,
    "max_attempts": 100,
    "task_deadline_seconds": 86400.0,
    "task_memory_bytes": 1 << 40,
    "max_age_days": 1e-07,
    "images_max_bytes": 1 << 50,
    "backups_kept": 1,
    "backup_hours": 0.5,
    "disk_reserve_bytes": 0,
    "model_mirror": "https://example.org/a%20mirror",
    "models_at_start": "faces,objects",
    "stopped_seconds": 0.0,
    "reboots_max": 10,
    "notice_url": "https://example.org/a%20secret?x=1",
}


def test_every_setting_goes_through_the_environment(tmp_path: Path) -> None:
    assert set(CHANGED) == set(Settings.__struct_fields__)
    settings = Settings(**CHANGED)
    assert load(tmp_path, **settings.environment()) == settings
    assert load(tmp_path, **Settings().environment()) == Settings()


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_every_setting_is_documented(name: str) -> None:
    assert f"`{name}`" in (config.ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
