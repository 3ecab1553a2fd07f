"""Whose rights root takes on, and which links it follows: with real users, links and folders."""

import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pivision import privileges
from tests import needs

UID = 54321  # of nobody on this machine
ROOT_ONLY = needs.mark("root")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may look into."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def users(folder: Path, unit: str, monkeypatch: pytest.MonkeyPatch, *, project: int, data: int) -> int:
    """Who root becomes, with these owners and this unit."""
    (folder / "project" / "data").mkdir(parents=True)
    os.chown(folder / "project", project, 0)
    os.chown(folder / "project" / "data", data, 0)
    (folder / "unit").write_text(unit.format(project=folder / "project"))
    monkeypatch.setattr(privileges, "_UNIT", folder / "unit")
    return privileges.user_of(folder / "project", lambda: folder / "project" / "data").pw_uid


@ROOT_ONLY
@pytest.mark.parametrize(
    ("unit", "project", "data", "expected"),
    [
        ("[Service]\nUser=daemon\nWorkingDirectory={project}\n", UID, UID, "daemon"),
        ("[Service]\nUser=daemon\nWorkingDirectory={project}2\n", UID, 0, UID),  # of another checkout
        ("[Service]\nUser=no-such-user\nWorkingDirectory={project}\n", UID, 0, UID),
        ("", UID, 1, UID),  # whatever his settings name
        ("", 0, UID, UID),
        ("", 0, 0, 0),
    ],
)
def test_root_becomes_the_user_of_the_unit_or_the_owner(
    folder: Path, monkeypatch: pytest.MonkeyPatch, unit: str, project: int, data: int, expected: str | int
) -> None:
    number = pwd.getpwnam(expected).pw_uid if isinstance(expected, str) else expected
    assert users(folder, unit, monkeypatch, project=project, data=data) == number


@ROOT_ONLY
def test_only_roots_links_are_followed(folder: Path) -> None:
    (folder / "target" / "below").mkdir(parents=True)
    (folder / "absolute").symlink_to(folder / "target")
    (folder / "relative").symlink_to("target/../target")
    (folder / "loop").symlink_to("loop")
    for name in ("target", "absolute", "relative"):
        descriptor = privileges.opened(folder / name / "below")
        assert os.fstat(descriptor).st_ino == (folder / "target" / "below").stat().st_ino
        os.close(descriptor)
    with pytest.raises(privileges.ForeignLink):
        privileges.opened(folder / "loop")
    os.chown(folder / "relative", UID, UID, follow_symlinks=False)
    with pytest.raises(privileges.ForeignLink, match=f"relative is a link of {UID}, which root does not follow"):
        privileges.opened(folder / "relative" / "below")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(10):
        with pytest.raises(OSError):
            privileges.opened(folder / "relative" / "below")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@ROOT_ONLY
def test_a_child_has_the_users_rights_and_says_what_came_of_it(folder: Path) -> None:
    user = privileges.entry(UID, UID)
    (folder / "secret").write_text("precious")
    (folder / "secret").chmod(0o600)
    assert privileges.as_user(user, lambda: [*os.getresuid(), *os.getresgid(), *os.getgroups()]) == [UID] * 7
    with pytest.raises(PermissionError, match="secret"):
        privileges.as_user(user, (folder / "secret").read_text)
    with pytest.raises(ValueError, match="ZeroDivisionError"):
        privileges.as_user(user, lambda: 1 // 0)
    with pytest.raises(ValueError, match="it died"):
        privileges.as_user(user, lambda: os._exit(1))
    assert os.geteuid() == 0


def test_what_root_keeps_to_itself_is_not_in_a_users_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "precious")
    monkeypatch.setenv("PIVISION_PORT", "8081")
    found = privileges.environment(privileges.entry(UID, UID))
    assert "precious" not in found.values()
    assert (found["PIVISION_PORT"], found["HOME"], found["USER"]) == ("8081", "/", str(UID))
