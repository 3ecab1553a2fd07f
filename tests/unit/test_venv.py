"""Environments with optional parts: real ones, made by real pip from a folder of tiny wheels that are written here."""

import base64
import hashlib
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from pivision.config import ROOT
from pivision.errors import InstallationFailed
from pivision.install import venv

SYSTEM_PYTHON = "/usr/bin/python3"
READER = "reader-1.0-py3-none-any.whl"


def write_wheel(folder: Path, name: str, version: str, module: str, requires: str = "") -> None:
    """A wheel (PyPA, "Binary distribution format") with one module, which is empty."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{module}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {
        path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        for path, text in files.items()
    }
    record = "".join(f"{path},sha256={digests[path]},{len(text)}\n" for path, text in files.items())
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            wheel.writestr(path, text)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The program with requirements of its own, and wheels for all of them but the optional part."""
    to = tmp_path / "clone"
    shutil.copytree(ROOT / "pivision", to / "pivision", ignore=shutil.ignore_patterns("__pycache__"))
    (to / "requirements.txt").write_text("opencv-python==5.0  # stands for the vision\nnumpy==2.0\nbase==1.0\n")
    (to / "requirements-text.txt").write_text("reader==1.0  # asks for another OpenCV\n")
    wheels = to / "wheels"
    wheels.mkdir()
    write_wheel(wheels, "opencv_python", "5.0", "cv2")
    write_wheel(wheels, "numpy", "2.0", "numpy")
    for version in ("1.0", "2.0"):
        write_wheel(wheels, "base", version, "base")
    return to


def bring_reader(clone: Path) -> None:
    write_wheel(clone / "wheels", "reader", "1.0", "reader", "Requires-Dist: opencv-python-headless\n")


def make(clone: Path) -> str:
    """`python3 -m pivision venv`, offline; what it has said."""
    command = [SYSTEM_PYTHON, "-S", "-B", "-m", "pivision", "venv", "--wheels", "wheels"]
    return subprocess.run(command, cwd=clone, check=True, capture_output=True, text=True, timeout=120).stdout


def add(clone: Path, *, python: str = SYSTEM_PYTHON) -> "subprocess.CompletedProcess[str]":
    """What `python -m pivision models install text` calls."""
    code = "from pathlib import Path; from pivision.install import venv; venv.add('text', Path('wheels').resolve())"
    return subprocess.run([python, "-B", "-c", code], cwd=clone, capture_output=True, text=True, timeout=120)


def holds(clone: Path) -> set[str]:
    """Which of the wheels' modules the environment in use has."""
    packages = next((clone / ".venv" / "lib").glob("python3*")) / "site-packages"
    return {file.stem for file in packages.glob("*.py")} & {"cv2", "numpy", "base", "reader"}


def environments(clone: Path) -> set[str]:
    """The names of those that are there, and complete."""
    complete = {file.parent.name for file in clone.glob(".venvs/*/installed")}
    assert complete == {folder.name for folder in (clone / ".venvs").iterdir()}
    return complete


def test_parts_tell_environments_apart_and_without_them_nothing_has_changed(tmp_path: Path) -> None:
    requirements, text = tmp_path / "requirements.txt", tmp_path / "requirements-text.txt"
    requirements.write_text("base==1.0\n")
    without = venv.folder_for(requirements)
    text.write_text("reader==1.0\n")
    one = venv.folder_for(requirements, ["text"])
    text.write_text("reader==2.0\n")
    assert venv.folder_for(requirements) == without
    assert len({without, one, venv.folder_for(requirements, ["text"])}) == 3
    text.unlink()
    assert venv.folder_for(requirements, ["text"]) == without, "a version that does not have the part"


def test_every_part_has_its_file_and_no_second_opencv() -> None:
    for part in venv.PARTS:
        listed = venv.requirements_of(part, ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
        pins = [line.partition("#")[0].strip() for line in listed if line.partition("#")[0].strip()]
        assert pins
        assert all("==" in pin for pin in pins)
        assert not [pin for pin in pins if pin.lower().startswith(("opencv", "numpy"))]


def test_a_part_that_nobody_has_is_an_error_before_anything_is_installed(clone: Path) -> None:
    run = add(clone)
    assert run.returncode == 1
    assert "No matching distribution found for reader==1.0" in run.stderr
    assert not list(clone.glob(".venvs/*"))
    assert not (clone / ".venv").is_symlink()


def lock(clone: Path) -> None:
    """Write down what the wheels are now."""
    for name in ("requirements", "requirements-text"):
        pins = re.findall(r"^([\w-]+)==(\S+)", (clone / f"{name}.txt").read_text(), re.MULTILINE)
        wheels = [clone / "wheels" / f"{pin.replace('-', '_')}-{version}-py3-none-any.whl" for pin, version in pins]
        (clone / f"{name}.lock").write_text(
            "".join(
                f"{pin}=={version} \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
                for (pin, version), wheel in zip(pins, wheels, strict=True)
            )
        )


def test_a_package_that_is_not_the_one_in_the_lock_is_not_installed(clone: Path) -> None:
    bring_reader(clone)
    lock(clone)
    write_wheel(clone / "wheels", "base", "1.0", "base", "Summary: another one\n")
    command = [SYSTEM_PYTHON, "-S", "-B", "-m", "pivision", "venv", "--wheels", "wheels"]
    run = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=120)
    assert run.returncode == 1
    assert "DO NOT MATCH THE HASHES" in run.stderr
    assert not (clone / ".venv").is_symlink()

    write_wheel(clone / "wheels", "base", "1.0", "base")
    lock(clone)
    assert add(clone).returncode == 0
    assert holds(clone) == {"cv2", "numpy", "base", "reader"}

    (clone / "requirements.txt").write_text("opencv-python==5.0\nnumpy==2.0\nbase==2.0\n")
    run = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=120)
    assert run.returncode == 1
    assert "requirements.lock has no hash of base==2.0, which requirements.txt names: make lock" in run.stderr


def test_with_a_folder_of_wheels_nothing_comes_from_elsewhere(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = clone.parent / "elsewhere"
    elsewhere.mkdir()
    write_wheel(elsewhere, "reader", "1.0", "reader")
    (clone.parent / "pip.conf").write_text(f"[global]\nfind-links = {elsewhere}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(clone.parent / "pip.conf"))
    monkeypatch.setenv("PIP_FIND_LINKS", str(elsewhere))
    run = add(clone)
    assert run.returncode == 1
    assert "No matching distribution found for reader==1.0" in run.stderr


def test_only_the_owner_of_the_folder_brings_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: ROOT.stat().st_uid + 1)
    with pytest.raises(InstallationFailed, match="who alone may change it: sudo -u "):
        venv.add("text")


def test_the_life_of_a_part(clone: Path) -> None:
    """One story, since each environment takes seconds to make."""
    bring_reader(clone)
    assert add(clone).returncode == 0
    first = (clone / ".venv").readlink()
    assert holds(clone) == {"cv2", "numpy", "base", "reader"}
    run = add(clone, python=str(clone / ".venv" / "bin" / "python"))  # as the operator does
    assert (run.returncode, run.stdout) == (0, "text: is there already\n")

    # Another version has it, too; but goes on without it where it cannot be had.
    (clone / "requirements.txt").write_text("opencv-python==5.0\nnumpy==2.0\nbase==2.0\n")
    (clone / "wheels" / READER).unlink()
    said = make(clone).splitlines()
    assert said[1].startswith("Going on without text, which is tried again next time: ")
    assert said[1].endswith("No matching distribution found for reader==1.0")
    second = (clone / ".venv").readlink()
    assert holds(clone) == {"cv2", "numpy", "base"}

    assert environments(clone) == {first.name, second.name}

    # It is still wanted: the next environment has it, beside the one in use.
    bring_reader(clone)
    make(clone)
    third = (clone / ".venv").readlink()
    assert holds(clone) == {"cv2", "numpy", "base", "reader"}
    assert environments(clone) == {second.name, third.name}
