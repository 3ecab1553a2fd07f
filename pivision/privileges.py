"""How root keeps its rights out of folders that somebody else may write to. Standard library only.

Whoever may write to a folder may put a link into it, or move a folder away between two calls. Root either becomes the
user that the files belong to, or goes from descriptor to descriptor and follows no link but root's own.
"""

import errno
import json
import os
import pwd
import re
import select
import shutil
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

User = pwd.struct_passwd

_UNIT = Path("/etc/systemd/system/pivision.service")
_MOST_LINKS = 40  # on the way to one folder, as in the kernel
_CHILD_SECONDS = 600.0  # to delete or to check gigabytes on an SD card
_KEPT_VARIABLES = ("PATH", "LANG", "TERM")


class ForeignLink(OSError):
    """A link that somebody else than root has made, on a way that root goes."""


def user_of(project: Path, data_dir: Callable[[], Path]) -> User:
    """Return the user whose PiVision in `project` is: root becomes nobody else.

    The installed unit comes first, since only root can have written it; then the owner of `project`. Where that is
    root, its settings are root's word, and the owner of the data folder that they name counts.
    """
    if user := _unit_user(project):
        return user
    status = project.lstat()
    if status.st_uid == 0:
        try:
            status = (folder := data_dir()).lstat()
            if stat.S_ISLNK(status.st_mode) and status.st_uid == 0:
                status = folder.stat()
        except OSError:  # not there yet, and root will make it
            return pwd.getpwuid(0)
    return entry(status.st_uid, status.st_gid)


def entry(uid: int, gid: int) -> User:
    """Return the user of this number; one without a name has no home and the group `gid`."""
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        return User((str(uid), "x", uid, gid, "", "/", "/bin/sh"))


def give_up_root(user: User) -> None:
    """Become `user` for good, if this process is root."""
    if os.geteuid() != 0 or user.pw_uid == 0:
        return
    os.setgroups(groups(user))
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.environ.update(HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name)


def groups(user: User) -> list[int]:
    """Return the numbers of all groups of `user`."""
    return os.getgrouplist(user.pw_name, user.pw_gid)


def environment(user: User) -> dict[str, str]:
    """Return what a command that root runs as `user` finds: nothing that is root's own but PiVision's settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT_VARIABLES or name.startswith(("LC_", "PIVISION_"))
    }
    return {**kept, "HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}


def as_user(user: User, function: Callable[[], Any]) -> Any:
    """Return what `function` gives as JSON in a process of `user`'s own; without root to give up, in this one.

    Raises the OSError that `function` raises, ValueError for any other error, TimeoutError after ten minutes.
    """
    if os.geteuid() != 0 or user.pw_uid == 0:
        return function()
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.close(read)
            give_up_root(user)
            _write_all(write, json.dumps(_outcome(function)).encode())
        finally:
            os._exit(0)
    os.close(write)
    try:
        answer = _read_all(read)
    finally:
        os.close(read)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    kind, value = json.loads(answer or '["error", "it died"]')
    if kind == "refused":
        raise OSError(*value)
    if kind == "error":
        raise ValueError(value)
    return value


def opened(folder: Path) -> int:
    """Open `folder` for paths below it (O_PATH), and as root through no link but root's own. Raises OSError."""
    if os.geteuid() != 0:
        return os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    here = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    names = [*reversed(os.path.normpath(folder).split("/"))]
    links = 0
    try:
        while names:
            if (name := names.pop()) in ("", "."):
                continue
            following = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            try:
                status = os.fstat(following)
                if stat.S_ISLNK(status.st_mode):
                    links += 1
                    if status.st_uid != 0 or links > _MOST_LINKS:
                        reason = f"{name} is a link of {entry(status.st_uid, 0).pw_name}, which root does not follow"
                        raise ForeignLink(errno.ELOOP, reason, str(folder))
                    target = os.readlink("", dir_fd=following)
                    names += reversed(target.split("/"))
                    if not target.startswith("/"):
                        continue
                    os.close(following)
                    following = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                elif not stat.S_ISDIR(status.st_mode):
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
                here, following = following, here
            finally:
                os.close(following)
    except BaseException:
        os.close(here)
        raise
    return here


def entries(folder: Path) -> Iterator[tuple[Path, int]]:
    """Give `folder` and all below it, each with a descriptor that no link leads elsewhere and that opens nothing."""
    top = opened(folder)
    try:
        for path, _, names, folder_fd in os.fwalk(".", onerror=_raise_unless_gone, dir_fd=top):
            yield folder / path, folder_fd
            for name in names:
                try:
                    descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder_fd)
                except FileNotFoundError:  # the appliance removes files meanwhile
                    continue
                try:
                    yield folder / path / name, descriptor
                finally:
                    os.close(descriptor)
    finally:
        os.close(top)


def give(descriptor: int, user: User) -> bool:
    """Make `user` the owner of an open file or folder; refuse a file with several names, which may be another's."""
    status = os.fstat(descriptor)
    if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
        return False
    os.chown(f"/proc/self/fd/{descriptor}", user.pw_uid, user.pw_gid)  # fchown does not take what O_PATH has opened
    return True


def make_folder(folder: Path, mode: int, user: User) -> None:
    """Make `folder` for `user`, and what is missing above it for root. Raises OSError.

    What `user` can make himself, he makes.
    """
    try:
        as_user(user, lambda: _make(folder, mode))
    except PermissionError:
        parent = _made_parent(folder.parent)
        try:
            os.mkdir(folder.name, 0o700, dir_fd=parent)
            made = os.open(folder.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            try:
                if os.fstat(made).st_uid != 0 or any(os.scandir(made)):
                    raise FileExistsError(errno.EEXIST, "somebody was faster", str(folder))
                os.fchown(made, user.pw_uid, user.pw_gid)
                os.fchmod(made, mode)
            finally:
                os.close(made)
        finally:
            os.close(parent)


def remove_folder(folder: Path, user: User) -> None:
    """Delete `folder` with all in it, with no right but that of `user` over what is in it. Raises OSError."""
    as_user(user, lambda: _empty(folder))
    parent = opened(folder.parent)
    try:
        os.rmdir(folder.name, dir_fd=parent)
    finally:
        os.close(parent)


def _unit_user(project: Path) -> User | None:
    """Return who the installed unit runs as; None when it is not one of this folder, or its user is gone."""
    try:
        text = _UNIT.read_text(encoding="utf-8")
        found = re.search(r"^User=(.+)$", text, re.MULTILINE)
        return pwd.getpwnam(found[1]) if found and f"\nWorkingDirectory={project}\n" in text else None
    except (OSError, KeyError):
        return None


def _outcome(function: Callable[[], Any]) -> tuple[str, Any]:
    try:
        return "value", function()
    except OSError as error:
        return "refused", (error.errno, error.strerror, error.filename and str(error.filename))
    except Exception as error:  # noqa: BLE001  # the parent raises it again
        return "error", f"{type(error).__name__}: {error}"


def _write_all(descriptor: int, content: bytes) -> None:
    with open(descriptor, "wb") as stream:
        stream.write(content)


def _read_all(descriptor: int) -> bytes:
    content = b""
    while select.select([descriptor], [], [], _CHILD_SECONDS)[0]:
        if not (piece := os.read(descriptor, 65536)):
            return content
        content += piece
    raise TimeoutError(errno.ETIMEDOUT, f"no answer within {_CHILD_SECONDS:g} s")


def _make(folder: Path, mode: int) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir()
    folder.chmod(mode)


def _made_parent(folder: Path) -> int:
    try:
        return opened(folder)
    except FileNotFoundError:
        above = _made_parent(folder.parent)
    try:
        os.mkdir(folder.name, 0o755, dir_fd=above)
        return os.open(folder.name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    finally:
        os.close(above)


def _empty(folder: Path) -> None:
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "is a link", str(folder))
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
