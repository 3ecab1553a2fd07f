"""conf/supervisord.conf: what must hold, or the appliance does not come back by itself."""

import configparser
import re
from pathlib import Path

import pytest

from pivision import appliance, worker
from pivision.config import ROOT, Settings
from pivision.health import deaths

PROGRAMS = ["program:worker", "program:server", "program:health"]


@pytest.fixture(scope="module")
def conf() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",), comment_prefixes=(";",))
    parser.read_string(appliance.CONF.read_text(encoding="utf-8"))
    return parser


def test_the_programs_are_those_that_are_known(conf: configparser.RawConfigParser) -> None:
    assert [section for section in conf.sections() if section.startswith("program:")] == PROGRAMS


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_program_comes_back(conf: configparser.RawConfigParser, program: str) -> None:
    assert conf[program]["autorestart"] == "true"  # `unexpected` would leave one that ended with 0
    assert conf[program].getboolean("killasgroup")
    assert conf[program].get("autostart", "true") == "true"
    assert conf[program]["stopsignal"] == "TERM"
    assert int(conf[program]["startretries"]) >= 3
    assert conf[program]["directory"] == "%(ENV_PIVISION_ROOT)s"


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_module_is_there(conf: configparser.RawConfigParser, program: str) -> None:
    python, _, module, *_ = conf[program]["command"].split()
    assert python == "%(ENV_PIVISION_PYTHON)s"
    file = ROOT / Path(*module.split("."))
    assert file.with_suffix(".py").exists() or (file / "__main__.py").exists()


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_log_is_bounded(conf: configparser.RawConfigParser, program: str) -> None:
    section = conf[program]
    assert section.getboolean("redirect_stderr")
    assert section["stdout_logfile"].startswith("%(ENV_PIVISION_LOG_FILES)s/")
    size = re.fullmatch(r"([1-9]\d*)MB", section["stdout_logfile_maxbytes"])  # 0 would be without a bound
    assert size
    assert int(size[1]) * (1 + int(section["stdout_logfile_backups"])) <= 10


def test_the_main_log_cannot_roll_over(conf: configparser.RawConfigParser) -> None:
    assert conf["supervisord"]["logfile"] == f"%(ENV_PIVISION_RUN_DIR)s/{deaths.LOG}"
    assert int(conf["supervisord"]["logfile_maxbytes"]) == 0
    assert conf["supervisord"].getboolean("nodaemon")
    assert not {"umask", "directory", "user"} & set(conf["supervisord"])  # ignored in the foreground


def test_health_is_never_given_up(conf: configparser.RawConfigParser) -> None:
    assert int(conf["program:health"]["startretries"]) >= 1_000_000


def test_a_worker_has_the_time_to_hand_its_task_back(conf: configparser.RawConfigParser) -> None:
    database_seconds = Settings().database_timeout_seconds  # which handing back may take
    assert int(conf["program:worker"]["stopwaitsecs"]) > worker.HAND_BACK_AFTER_SECONDS + database_seconds


def test_workers_are_numbered_from_one(conf: configparser.RawConfigParser) -> None:
    section = conf["program:worker"]
    assert section["numprocs"] == "%(ENV_PIVISION_WORKERS)s"
    assert int(section["numprocs_start"]) == 1
    assert "%(process_num)d" in section["process_name"]
    assert "%(process_num)d" in section["stdout_logfile"]
    assert section["command"].endswith(" %(process_num)d")


def test_what_feeds_the_others_stops_first(conf: configparser.RawConfigParser) -> None:
    priorities = [int(conf[program]["priority"]) for program in PROGRAMS]
    assert priorities == sorted(priorities)


def test_the_web_page_is_for_this_machine_and_has_a_password(conf: configparser.RawConfigParser) -> None:
    section = conf["inet_http_server"]
    assert section["port"] == "127.0.0.1:%(ENV_PIVISION_SUPERVISOR_PORT)s"
    assert section["username"]
    assert section["password"] == "%(ENV_PIVISION_WEB_PASSWORD_SHA)s"


def test_the_socket_is_for_its_owner(conf: configparser.RawConfigParser) -> None:
    assert conf["unix_http_server"]["chmod"] == "0700"


def test_supervisorctl_works_from_any_shell(conf: configparser.RawConfigParser) -> None:
    assert "ENV_" not in "".join(conf["supervisorctl"].values())
    server = conf["supervisorctl"]["serverurl"].removeprefix("unix://").replace("%(here)s", str(appliance.CONF.parent))
    assert Path(server).resolve() == Settings().run_dir / "supervisor.sock"


def test_every_variable_is_provided(conf: configparser.RawConfigParser, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, log_dir=tmp_path / "logs", run_dir=tmp_path / "run")
    settings.secrets_dir.mkdir()
    provided = {**settings.environment(), **appliance._for_conf(settings)}
    values = [value for section in conf.sections() for value in conf[section].values()]
    wanted = set(re.findall(r"%\(ENV_(\w+)\)s", "\n".join(values)))
    assert wanted
    assert wanted <= set(provided)
    assert not [value for value in provided.values() if "%" in value]


def test_the_web_password_is_made_once_and_kept_from_the_environment(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, log_dir=tmp_path / "logs", run_dir=tmp_path / "run")
    settings.secrets_dir.mkdir()
    first, second = appliance._for_conf(settings), appliance._for_conf(settings)
    assert first == second
    password = (settings.secrets_dir / "supervisor-web-password").read_text().strip()
    assert len(password) >= 32
    assert password not in "".join(first.values())
    assert re.fullmatch(r"\{SHA\}[0-9a-f]{40}", first["PIVISION_WEB_PASSWORD_SHA"])
