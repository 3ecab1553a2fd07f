"""The doctor as a command, and what it finds in the software, the settings and the ports."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pivision import config, doctor
from pivision.config import ROOT
from pivision.doctor import models, report, rivals, service, software
from pivision.doctor.finding import Finding, Findings, failure, ok, warning
from pivision.doctor.report import Line
from pivision.doctor.site import NoAnswer, Site
from pivision.models import catalogue
from pivision.models.catalogue import CATALOGUE
from tests.box import eventually, free_port
from tests.vision.conftest import weights

BARE_PYTHON = [str(Path(sys.base_prefix, "bin", "python3")), "-S"]  # -S: without any package


def run(
    *arguments: str, environment: Mapping[str, str] = os.environ, cwd: Path = ROOT, answer: str = ""
) -> "subprocess.CompletedProcess[str]":
    """The command as a person types it, with a Python that has no packages."""
    return subprocess.run(
        [*BARE_PYTHON, "-m", "pivision", "doctor", *arguments],
        cwd=cwd,
        env=environment,
        input=answer,
        capture_output=True,
        text=True,
        timeout=120,
    )


def only(findings: Findings) -> Finding:
    (found,) = findings
    return found


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A bare clone: nothing is installed."""
    clone = tmp_path / "clone"
    clone.mkdir()
    for folder in ("pivision", "conf", "systemd"):
        shutil.copytree(ROOT / folder, clone / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.txt", clone)
    return clone


def make_python(clone: Path, script: str) -> Site:
    """An environment whose Python does what the shell script says."""
    python = clone / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return Site(project=clone)


# The command


def test_json_table_and_exit_status_say_the_same() -> None:
    with socket.create_server(("127.0.0.1", port := free_port())):
        table = run(environment={**os.environ, "PIVISION_PORT": str(port)})
        lines = run("--json", environment={**os.environ, "PIVISION_PORT": str(port)})
    assert (table.returncode, lines.returncode) == (1, 1)
    assert (table.stderr, lines.stderr) == ("", "")
    findings = json.loads(lines.stdout)["findings"]
    held, _ = [finding for finding in findings if finding["check"] == "port"]
    assert held["state"] == "failure"
    assert held["seen"].startswith(f"{port} is held by pid {os.getpid()} (")
    assert held["remedy"]
    assert not held["fixable"]
    assert json.loads(lines.stdout)["state"] == "failure"
    rows = table.stdout.splitlines()
    assert rows[0].split()[:3] == ["failure", "port", str(port)]
    assert rows[1].split()[0] == "mend:"
    for finding in findings:
        assert finding["check"] in table.stdout
    assert rows[-1] == ", ".join(
        f"{sum(finding['state'] == state for finding in findings)} {state}" for state in ("ok", "warning", "failure")
    )


def test_a_bare_clone_is_examined_and_told_what_installs_it(clone: Path) -> None:
    examined = run("--json", cwd=clone)
    assert examined.returncode == 1
    findings = {finding["check"]: finding for finding in json.loads(examined.stdout)["findings"]}
    for check in ("packages", "opencv", "sqlite"):
        assert findings[check]["state"] == "failure"
        assert findings[check]["seen"].endswith("not installed yet")
        assert findings[check]["remedy"] == "make run, or sudo make install"
    assert findings["settings"]["state"] == "warning"
    assert not (clone / "data").exists(), "looking makes nothing"


def test_warnings_alone_are_no_failure() -> None:
    lines = [Line("a", ok("fine")), Line("b", warning("hm", "mend it"))]
    assert report.state(lines) == "warning"
    assert report.state(lines[:1]) == "ok"
    assert report.state([Line("c", failure("no", "mend it")), *lines]) == "failure"


@pytest.fixture
def wide_file(tmp_path: Path) -> Path:
    """A data folder in which others can read a file."""
    (tmp_path / "data").mkdir(mode=0o700)
    file = tmp_path / "data" / "wide"
    file.touch()
    file.chmod(0o644)
    return file


@pytest.mark.parametrize(
    ("arguments", "answer", "is_mended"),
    [
        (["--fix"], "y\n", True),
        (["--fix"], "n\n", False),
        (["--fix"], "\n", False),
        (["--fix"], "", False),
        (["--fix", "--yes"], "", True),
        ([], "y\n", False),
    ],
)
def test_mending_asks_unless_told_not_to(wide_file: Path, arguments: list[str], answer: str, is_mended: bool) -> None:
    folders = {"PIVISION_DATA_DIR": str(wide_file.parent), "PIVISION_LOG_DIR": str(wide_file.parent.parent / "logs")}
    mended = run(*arguments, "--json", answer=answer, environment={**os.environ, **folders})
    assert (wide_file.stat().st_mode & 0o777 == 0o600) == is_mended
    (found,) = [line for line in json.loads(mended.stdout)["findings"] if line["check"] == "data-modes"]
    assert found["state"] == ("ok" if is_mended else "failure"), "what is shown is how it is afterwards"
    assert ("[y/N]" in mended.stderr) == (arguments == ["--fix"])


def test_a_fix_that_fails_is_said_and_the_others_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    done = []

    def fail() -> None:
        subprocess.run(["sh", "-c", "echo no such unit >&2; exit 1"], check=True, capture_output=True)

    lines = [Line("first", failure("a", "b", fail)), Line("second", failure("c", "d", lambda: done.append(1)))]
    assert doctor.mend(lines, without_asking=True)
    assert done == [1]
    assert "first: not mended: no such unit" in capsys.readouterr().err


def test_a_check_that_cannot_look_is_a_finding_and_the_others_go_on() -> None:
    def broken(site: Site) -> Findings:
        yield ok(str(int("no number")))

    def fine(site: Site) -> Findings:
        yield ok("fine")

    lines = doctor.examine(Site(), [broken, fine])
    assert [(check, finding.state) for check, finding in lines] == [("broken", "failure"), ("fine", "ok")]


def test_one_unit_file_can_be_examined_alone(tmp_path: Path) -> None:
    file = tmp_path / "own.service"
    file.write_text("[Service]\nKillMode=process\n")
    examined = run("--unit", str(file), "--json")
    assert examined.returncode == 1
    findings = json.loads(examined.stdout)["findings"]
    assert {finding["check"] for finding in findings} == {doctor.check_id(check) for check in doctor.TRAPS}
    missing = run("--unit", str(tmp_path / "none"))
    assert missing.returncode == 2
    assert "there is no file" in missing.stderr


# Asking the environment's Python


def test_its_death_by_a_signal_is_told(clone: Path) -> None:
    found = only(software.opencv(make_python(clone, "kill -ILL $$")))
    assert (found.state, found.seen) == ("failure", "OpenCV: its process died of SIGILL")


def test_its_silence_is_bounded(clone: Path) -> None:
    with pytest.raises(NoAnswer, match=r"no answer within 0\.2 s"):
        make_python(clone, "exec sleep 60").ask("opencv", timeout_seconds=0.2)


def test_its_last_words_are_told(clone: Path) -> None:
    site = make_python(clone, "echo Traceback >&2; echo 'ImportError: libGL.so.1' >&2; exit 1")
    assert only(software.opencv(site)).seen == "OpenCV: ImportError: libGL.so.1"


def test_packages_that_are_missing_or_of_another_version_are_found(clone: Path) -> None:
    site = make_python(clone, f'exec {sys.executable} "$@"')
    assert only(software.packages(site)).state == "ok"
    pins = (clone / "requirements.txt").read_text()
    (clone / "requirements.txt").write_text(pins.replace("falcon==4.4.0", "falcon==4.3.9"))
    found = only(software.packages(site))
    assert found.state == "warning"
    assert "falcon 4.4.0, not 4.3.9" in found.seen
    (clone / "requirements.txt").write_text(pins + "no-such-package==1.0\n")
    found = only(software.packages(site))
    assert (found.state, found.seen) == ("failure", "not installed: no-such-package")


def test_what_opencv_lacks_is_what_cannot_be_reached_in_it() -> None:
    import cv2

    found = only(software.opencv(Site()))
    assert found.state == "ok"
    assert found.seen.startswith(cv2.__version__)
    for part in ("CascadeClassifier", "FaceDetectorYN", "HOGDescriptor"):
        assert (part in found.seen) != hasattr(cv2, part)


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("3.6.23", "ok"),
        ("3.7.0", "failure"),
        ("3.40.1", "failure"),
        ("3.44.5", "failure"),
        ("3.44.6", "ok"),
        ("3.45.0", "failure"),
        ("3.50.7", "ok"),
        ("3.51.2", "failure"),
        ("3.51.3", "ok"),
        ("3.54.1", "ok"),
        ("4.0", "ok"),
    ],
)
def test_the_sqlite_versions_with_the_bug(clone: Path, version: str, state: str) -> None:
    assert only(software.sqlite(make_python(clone, f"echo '\"{version}\"'"))).state == state


def test_the_sqlite_in_use_is_without_the_bug() -> None:
    assert only(software.sqlite(Site())).state == "ok"


# Settings


def test_settings_that_cannot_be_read_are_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pivision.toml"
    file.write_text("workres = 2\n")
    monkeypatch.setenv("PIVISION_CONFIG", str(file))
    found = only(service.settings(Site()))
    assert found.state == "failure"
    assert "workres: there is no such setting; is it 'workers'?" in found.seen
    # Other folders than those of this checkout, in which a service may run that commands find.
    monkeypatch.setenv("PIVISION_RUN_DIR", str(tmp_path / "run"))
    file.write_text(f'port = 8123\ndata_dir = "{tmp_path}/data"\n')
    assert only(service.settings(Site())).state == "ok"
    assert Site().settings.port == 8123


def test_settings_without_packages_are_those_with_them(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("PIVISION_")]:
        monkeypatch.delenv(variable)
    system = clone.parent  # without a unit
    bare, defaults = Site(project=clone, root=system).settings, config.Settings()
    for name, value in bare._asdict().items():
        default: Any = getattr(defaults, name)
        assert value == (clone / default.relative_to(ROOT) if isinstance(default, Path) else default)

    (clone / "pivision.toml").write_text('port = 8123\ndata_dir = "elsewhere"\nsupervisor_port = "no number"\n')
    monkeypatch.setenv("PIVISION_LOG_DIR", "/var/log/pivision")
    bare = Site(project=clone, root=system).settings
    assert (bare.port, bare.supervisor_port) == (8123, 9001)
    assert (bare.data_dir, bare.log_dir) == (clone / "elsewhere", Path("/var/log/pivision"))


def test_the_units_settings_count(tmp_path: Path) -> None:
    unit = tmp_path / "pivision.service"
    unit.write_text('[Service]\nEnvironment=PIVISION_RUN_DIR=/run/pivision "PIVISION_PORT=8123" HOME=/nowhere\n')
    settings = Site(unit_path=unit).settings
    assert (settings.run_dir, settings.port) == (Path("/run/pivision"), 8123)


# supervisord

GIVEN_UP = """
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile=%(here)s/supervisord.pid
[unix_http_server]
file=%(here)s/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:server]
command=/bin/false
startsecs=60
startretries=0
[program:health]
command=/bin/cat
autostart=false
"""


def test_a_program_that_is_given_up_is_a_failure(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = run_dir / "supervisord.conf"
    conf.write_text(GIVEN_UP)
    monkeypatch.setenv("PIVISION_RUN_DIR", str(run_dir))
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as supervisord:
        try:
            found = eventually(
                lambda: said if "FATAL" in (said := only(service.supervisord(Site()))).seen else None,
                "supervisord gives the program up",
            )
        finally:
            supervisord.terminate()
    assert (found.state, found.seen) == ("failure", "health is STOPPED, server is FATAL")
    assert found.remedy.startswith(
        f"{Site().python.parent}/supervisorctl -s unix://{run_dir}/supervisor.sock start all;"
    )


# Ports


def test_free_ports_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIVISION_PORT", str(free_port()))
    monkeypatch.setenv("PIVISION_SUPERVISOR_PORT", str(free_port()))
    assert [found.state for found in rivals.port(Site())] == ["ok", "ok"]


def test_the_port_of_the_web_page_is_examined_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIVISION_PORT", str(free_port()))
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        monkeypatch.setenv("PIVISION_SUPERVISOR_PORT", str(other.getsockname()[1]))
        found = list(rivals.port(Site()))
    assert [finding.state for finding in found] == ["ok", "failure"]
    assert found[1].remedy == f"kill {os.getpid()}"


# Models


@pytest.fixture
def models_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models in which the two of the default are, as copies."""
    folder = tmp_path / "models"
    folder.mkdir()
    for operation in ("faces", "objects"):
        file = catalogue.first(operation).file
        shutil.copyfile(weights(file), folder / file)
    monkeypatch.setenv("PIVISION_MODELS_DIR", str(folder))
    return folder


OWN = 'file = "parcels.onnx"\nfamily = "yolox"\ninput_side_px = 416\nlabels = ["parcel"]\n'


def test_models_that_are_in_order_are_named(models_dir: Path) -> None:
    found = only(models.models(Site()))
    assert found.state == "ok"
    assert found.seen.startswith("faces: yunet, objects: nanodet, people: nanodet")


def test_no_model_is_a_warning_with_the_command(models_dir: Path) -> None:
    shutil.rmtree(models_dir)
    found, *_ = models.models(Site())
    assert (found.state, found.seen) == ("warning", "nothing looks for faces, objects, people")
    assert found.remedy == ".venv/bin/python -m pivision models install faces objects people"


def test_a_damaged_model_is_a_failure_where_it_would_look(models_dir: Path) -> None:
    file = models_dir / catalogue.first("faces").file
    with file.open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"damage")
    found, rest = models.models(Site())
    assert (found.state, found.seen) == ("failure", f"{file} is damaged or another file")
    assert found.remedy == ".venv/bin/python -m pivision models install yunet"
    assert rest.seen.startswith("objects: nanodet, people: nanodet")
    spare = next(model for model in CATALOGUE if model.name == "yunet-int8")
    (models_dir / spare.file).write_bytes(b"damaged")
    assert [found.state for found in models.models(Site())] == ["failure", "warning", "ok"]
    subprocess.run(
        [sys.executable, *found.remedy.split()[1:]],
        cwd=ROOT,
        env={**os.environ, "PIVISION_MODEL_MIRROR": str(weights(file.name).parent)},
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert [found.state for found in models.models(Site())] == ["warning", "ok"]


def test_own_models_that_are_wrong_are_warnings(models_dir: Path) -> None:
    (models_dir / "parcels.toml").write_text(OWN)
    (models_dir / "broken.toml").write_text(OWN.replace("yolox", "yolov9"))
    missing, wrong, fine = models.models(Site())
    assert (missing.state, missing.seen) == ("warning", f"{models_dir}/parcels.onnx: No such file or directory")
    assert missing.remedy == "put the file there, or remove parcels.toml beside it"
    assert wrong.state == "warning"
    assert wrong.seen.startswith(f"{models_dir}/broken.toml: Invalid enum value 'yolov9'")
    assert fine.state == "ok"


def test_a_model_that_opencv_cannot_load_is_found(models_dir: Path) -> None:
    pytest.importorskip("pivision.vision.trial")
    (models_dir / "parcels.toml").write_text(OWN)
    (models_dir / "parcels.onnx").write_bytes(b"no ONNX")
    found, fine = models.models(Site())
    assert found.state == "warning", "another one looks"
    assert found.seen.startswith("OpenCV cannot load parcels: ")
    assert fine.state == "ok"
    (models_dir / catalogue.first("objects").file).unlink()
    assert [found.state for found in models.models(Site())] == ["failure", "warning", "ok"]


def test_models_without_an_environment_are_not_checked(clone: Path) -> None:
    found = only(models.models(Site(project=clone)))
    assert (found.state, found.seen) == ("warning", "not checked: not installed yet")
    assert found.remedy == "make run, or sudo make install"
