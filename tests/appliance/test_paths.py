"""Folders with odd names: PiVision runs there, or says in one line why not."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivision.config import ROOT
from tests.appliance.pictures import photograph
from tests.appliance.test_commands import pivision
from tests.box import Box, eventually, free_port, is_alive, running_box

ODD = """a b'c;d%e%(here)sü#f(x)&{g}*[h]?~,="""


@pytest.fixture
def checkout() -> Iterator[Path]:
    """A copy of the project in a folder with an odd name, with the environment of this one."""
    above = Path(tempfile.mkdtemp(prefix="pv-"))
    folder = above / ODD
    folder.mkdir()
    for name in ("pivision", "conf"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".venv").symlink_to(sys.prefix)
    yield folder
    shutil.rmtree(above)


def test_a_checkout_with_an_odd_name_runs_with_all_its_folders_in_it(checkout: Path) -> None:
    port = free_port()
    mine = {"HOST": "127.0.0.1", "PORT": port, "SUPERVISOR_PORT": free_port(), "WORKERS": 1, "MODEL_MIRROR": "none"}
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PIVISION_")}
    command: list[str | Path] = [checkout / ".venv" / "bin" / "python", "-m", "pivision"]
    run = subprocess.Popen(
        [*command, "run"],
        cwd=checkout,
        env={**plain, **{f"PIVISION_{name}": str(value) for name, value in mine.items()}},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        script: list[str | Path] = [
            checkout / ".venv" / "bin" / "supervisorctl",
            "-c",
            "conf/supervisord.conf",
            "status",
        ]
        eventually(lambda: said(script, checkout).count("RUNNING") == 3, "supervisorctl shows all programs", 30)
        tasks = subprocess.run([*command, "tasks", "--json"], cwd=checkout, env=plain, capture_output=True, text=True)
        assert (tasks.returncode, tasks.stderr) == (0, ""), "a shell finds it"
        assert sorted(file.name for file in (checkout / "logs").iterdir()) == [
            "health.log",
            "server.log",
            "worker_1.log",
        ]
        pid = json.loads((checkout / "run" / "appliance.lock").read_text())["pid"]
        assert pid == run.pid
    finally:
        run.terminate()
        run.wait(45)
    assert not is_alive(run.pid)


def test_data_logs_models_and_run_folder_may_have_odd_names() -> None:
    with running_box(start=False) as beside:
        box = Box(beside.folder / (ODD + '"$`\\:'))
        box.folder.mkdir(exist_ok=True)
        try:
            box.start()
            assert box.post(photograph(), "quality", wait=30).json["state"] == "done"
            assert box.log("server")
            assert pivision(box.environment, "backup", str(beside.folder / "backup.tar")).returncode == 0
        finally:
            box.stop()


@pytest.mark.parametrize("name", ["data_dir", "log_dir", "models_dir", "run_dir"])
@pytest.mark.parametrize("character", ["\n", "\t", "\x7f", "\udcff"])
def test_what_no_folder_may_have_is_refused_in_one_line(name: str, character: str, tmp_path: Path) -> None:
    with running_box(start=False) as box:
        box.environment[f"PIVISION_{name.upper()}"] = f"{tmp_path}/a{character}b"
        run = pivision(box.environment, "run")
    assert (run.returncode, run.stdout) == (1, "")
    error, _remedy = run.stderr.splitlines()
    assert error.startswith(f"pivision: PIVISION_{name.upper()}: a folder with {character!r} in its path")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["/proc/pivision", "/etc/passwd", "/etc/passwd/data"])
@pytest.mark.parametrize("name", ["data_dir", "log_dir", "run_dir"])
def test_a_folder_that_cannot_be_made_is_refused_in_one_line(name: str, place: str) -> None:
    with running_box(start=False) as box:
        box.environment[f"PIVISION_{name.upper()}"] = place
        run = pivision(box.environment, "run")
    assert (run.returncode, run.stdout) == (1, "")
    error, _remedy = run.stderr.splitlines()
    assert error.startswith(f"pivision: {place.removesuffix('/data')}")


def said(command: list[str | Path], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout
