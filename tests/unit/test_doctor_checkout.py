"""Who may change the code that root runs, with real owners and modes."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pivision.doctor import checkout
from pivision.doctor.site import Site
from tests import needs

ROOT_ONLY = needs.mark("root")


@pytest.fixture
def project() -> Iterator[Path]:
    """Some files of a checkout, in a folder that nobody else may write to."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "projects", "PiVision")
        for name in ("pivision", ".venvs/1/bin", "data"):
            (project / name).mkdir(parents=True)
        for name in ("Makefile", "pivision/__main__.py", ".venvs/1/bin/python", "data/secret"):
            (project / name).touch()
        for path in (project.parent, *project.parent.rglob("*")):
            path.chmod(0o755)
        (project / ".venv").symlink_to(".venvs/1")
        yield project


def test_a_checkout_as_git_makes_it_is_in_order(project: Path) -> None:
    assert [found.state for found in checkout.checkout(Site(project))] == ["ok"]


Change = Callable[[Path], None]


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
@pytest.mark.parametrize("name", [".", "Makefile", "pivision", "pivision/__main__.py", ".venvs/1/bin/python"])
def test_what_others_may_write_is_named(project: Path, name: str, mode: int) -> None:
    (project / name).chmod(mode)
    (found,) = checkout.checkout(Site(project))
    assert found.seen == f"group or others may write: {project / name}"
    assert found.remedy == f"sudo chmod -R go-w {project}"


def test_a_folder_above_that_others_may_write_is_named(project: Path) -> None:
    project.parent.chmod(0o775)
    (found,) = checkout.checkout(Site(project))
    assert found.state == "failure"
    assert found.seen.endswith(f": {project.parent}")
    project.parent.chmod(0o1777)  # as /tmp: only the owner of what is in it may rename it
    assert [found.state for found in checkout.checkout(Site(project))] == ["ok"]


def test_data_is_no_code(project: Path) -> None:
    (project / "data" / "secret").chmod(0o666)
    (project / "data").chmod(0o777)
    assert [found.state for found in checkout.checkout(Site(project))] == ["ok"]


@ROOT_ONLY
def test_what_a_third_user_owns_is_named(project: Path) -> None:
    os.chown(project / "pivision" / "__main__.py", 54321, 0)
    os.chown(project.parent, 54321, 0)
    code, above = checkout.checkout(Site(project))
    assert code.seen == f"not of root: {project}/pivision/__main__.py"
    assert above.seen.endswith(f": {project.parent}")
    for path in (project, *project.rglob("*")):  # now it is his own
        os.chown(path, 54321, 0, follow_symlinks=False)
    assert [found.state for found in checkout.checkout(Site(project))] == ["ok"]
