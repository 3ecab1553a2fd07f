"""Whose code this is: `sudo make install` runs it as root."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pivision import privileges
from pivision.doctor.finding import Findings, failure, ok, some
from pivision.doctor.site import Site

_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def checkout(site: Site) -> Findings:
    """Whether nobody but its owner and root can change the code, or put another folder in its place."""
    owner = privileges.entry(site.project.lstat().st_uid, 0)
    writable, foreign = [], []
    for path, status in _code(site):
        if status.st_uid not in (0, owner.pw_uid):
            foreign.append(path)
        elif status.st_mode & _OTHERS and not stat.S_ISLNK(status.st_mode):
            writable.append(path)
    above = [folder for folder in site.project.parents if _can_be_swapped(folder, owner.pw_uid)]
    if foreign:
        yield failure(f"not of {owner.pw_name}: {some(foreign)}", f"sudo chown -R {owner.pw_name}: {site.project}")
    if writable:
        yield failure(f"group or others may write: {some(writable)}", f"sudo chmod -R go-w {site.project}")
    for folder in above:
        remedy = f"sudo chmod go-w {folder}, or move the checkout, or let root or {owner.pw_name} own {folder}"
        yield failure(f"somebody else may put another folder in the place of this one: {folder}", remedy)
    if not (foreign or writable or above):
        yield ok(f"only {' and '.join(dict.fromkeys((owner.pw_name, 'root')))} can change it")


def _code(site: Site) -> Iterator[tuple[Path, os.stat_result]]:
    settings = site.settings
    left_out = (settings.data_dir, settings.log_dir, settings.models_dir, settings.run_dir, site.project / "run")
    folders = [site.project]
    while folders:
        folder = folders.pop()
        yield folder, folder.lstat()
        for entry in os.scandir(folder):
            path = Path(entry.path)
            if not entry.is_dir(follow_symlinks=False):
                yield path, entry.stat(follow_symlinks=False)
            elif path not in left_out:
                folders.append(path)


def _can_be_swapped(folder: Path, owner: int) -> bool:
    """Whether a third user may rename what is in `folder`; with the sticky bit, as in /tmp, only its owner may."""
    status = folder.stat()
    is_open = bool(status.st_mode & _OTHERS) and not status.st_mode & stat.S_ISVTX
    return is_open or status.st_uid not in (0, owner)
