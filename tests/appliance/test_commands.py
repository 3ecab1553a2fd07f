"""The operator's command, as a person types it."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

from pivision.config import ROOT
from pivision.models import catalogue
from tests.box import Box, eventually, running_box
from tests.vision.conftest import weights

YUNET = catalogue.first("faces")


def pivision(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `python -m pivision`, which must come to an end by itself."""
    command = [sys.executable, "-m", "pivision", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def test_a_taken_port_is_one_clear_line_that_names_who_has_it() -> None:
    with running_box(start=False) as box, socket.create_server(("127.0.0.1", box.port)):
        run = pivision(box.environment, "run")
    assert run.returncode not in (0, None)
    assert run.stdout == "", "no address of something that does not run"
    error, remedy = run.stderr.splitlines()
    assert f"port {box.port} is held by pid {os.getpid()} (" in error
    assert "port-taken" in error
    assert remedy


def test_a_taken_port_of_the_web_page_is_named_as_well() -> None:
    with running_box(start=False) as box, socket.create_server(("127.0.0.1", box.web_port)):
        run = pivision(box.environment, "run")
    assert run.returncode != 0
    assert f"port {box.web_port} is held by pid {os.getpid()} (" in run.stderr.splitlines()[0]


def test_a_bad_setting_is_one_line_with_its_file_and_key(tmp_path: Path) -> None:
    file = tmp_path / "pivision.toml"
    for content, said in (
        ('workers = "many"', f"{file}: workers: "),
        ("workres = 2", f"{file}: workres: there is no such setting; is it 'workers'?"),
        ("port = 70000", f"{file}: port: "),
        ("port = [", f"{file}: "),
    ):
        file.write_text(content)
        run = pivision({**os.environ, "PIVISION_CONFIG": str(file)}, "run")
        assert run.returncode != 0
        error, remedy = run.stderr.splitlines()
        assert error.startswith(f"pivision: {said}")
        assert "config-invalid" in error
        assert remedy
    run = pivision({**os.environ, "PIVISION_PORT": "http"}, "run")
    assert run.stderr.startswith("pivision: PIVISION_PORT: ")


def test_an_attended_start_prints_one_address_whose_token_works_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    with running_box(start=False, models_dir=tmp_path / "models", model_mirror=tmp_path) as box:
        del box.environment["PIVISION_WORKERS"]
        box.start(unattended=False)

        (token,) = re.findall(rf"http://127\.0\.0\.1:{box.port}/\?token=([\w-]+)", box.log("supervisord"))
        lines = box.log("supervisord").rstrip().splitlines()
        assert lines[-1].strip() == f"PiVision: http://127.0.0.1:{box.port}/?token={token}", "nothing of supervisord's"
        assert tasks_status(box, token) == 200
        assert box.get(f"/?token={token}").status == 303

        cores = len(os.sched_getaffinity(0))
        workers = [name for name in box.programs() if name.startswith("worker:")]
        assert len(workers) == max(1, cores - 1), "by default one core is left for everything else"

        assert box.process is not None
        again = pivision(box.environment, "run")
        assert again.returncode != 0
        assert f"runs already, at http://127.0.0.1:{box.port} (pid {box.process.pid}, " in again.stderr
        assert tasks_status(box, token) == 200, "the failed start made no new token"

        os.killpg(box.process.pid, signal.SIGINT)
        eventually(lambda: box.process is not None and box.process.poll() is not None, "Ctrl-C ends it")


def test_an_attended_start_brings_models_once_and_goes_on_without(tmp_path: Path) -> None:
    mirror, folder = tmp_path / "mirror", tmp_path / "models"
    mirror.mkdir()
    (mirror / YUNET.file).symlink_to(weights(YUNET.file))
    with running_box(start=False, models_dir=folder, model_mirror=mirror) as box:
        box.start(unattended=False)
        said = box.log("supervisord")
        assert (folder / YUNET.file).read_bytes() == weights(YUNET.file).read_bytes()
        assert (folder / YUNET.file).stat().st_mode & 0o777 == 0o644
        assert [path.name for path in folder.iterdir()] == [YUNET.file]
        assert re.search(r"^no model for objects \(file://.*\); to turn it on: .* models install objects$", said, re.M)
        assert box.get("/readyz").status == 200


def test_an_unattended_start_prints_no_token() -> None:
    with running_box() as box:
        assert "token=" not in box.log("supervisord")


def test_the_token_command_makes_tokens_that_count_at_once_and_replace_their_namesake() -> None:
    with running_box() as box:
        first = pivision(box.environment, "token", "make", "kitchen")
        assert (first.returncode, first.stderr) == (0, "")
        assert tasks_status(box, first.stdout.strip()) == 200

        second = pivision(box.environment, "token", "make", "kitchen")
        assert tasks_status(box, second.stdout.strip()) == 200
        assert tasks_status(box, first.stdout.strip()) == 401
        assert tasks_status(box, box.token) == 200, "another name's token stays"

        bad = pivision(box.environment, "token", "make", "../kitchen")
        assert bad.returncode != 0
        assert "Traceback" not in bad.stderr


def test_tokens_are_listed_with_their_scopes_and_revoked() -> None:
    with running_box() as box:
        garden = pivision(box.environment, "token", "make", "garden", "--scope", "read").stdout.strip()
        assert tasks_status(box, garden) == 200
        listed = pivision(box.environment, "token", "list")
        assert [line.split() for line in listed.stdout.splitlines()] == [["garden", "read"], ["test", "admin"]]
        assert pivision(box.environment, "token", "revoke", "garden").returncode == 0
        assert tasks_status(box, garden) == 401
        again = pivision(box.environment, "token", "revoke", "garden")
        assert again.returncode != 0
        assert again.stderr.startswith("pivision: there is no token 'garden'")


def tasks_status(box: Box, token: str) -> int:
    return box.request("GET", "/v1/tasks", headers={"Authorization": f"Bearer {token}"}).status
