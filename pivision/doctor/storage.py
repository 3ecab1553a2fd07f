"""The data and log folders, the database, and the disk below them."""

import errno
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from pivision import privileges
from pivision.doctor.finding import Finding, Findings, failure, ok, some, warning
from pivision.doctor.site import AS_ROOT, INSTALL, NoAnswer, Site, as_its_user

_DATABASE_SECONDS = 120.0  # quick_check reads all of it, from an SD card
_FEW_INODES = 1000

Judge = Callable[[os.stat_result], bool]


def data_owner(site: Site) -> Findings:
    """Whether the data and log folders belong, with all that is in them, to the user that PiVision runs as."""
    account = _wanted(site)

    def is_wrong(status: os.stat_result) -> bool:
        return status.st_uid != account.pw_uid

    def mend() -> None:
        kept = [path for path, status, entry in _wrong(site, is_wrong) if not privileges.give(entry, account)]
        if kept:
            reason = "not given away, since they have other names, which may lie in somebody else's folder"
            raise OSError(errno.EMLINK, reason, some(kept))

    folders = " ".join(map(str, _folders(site)))
    try:
        wrong = _paths(site, is_wrong)
    except privileges.ForeignLink as error:
        yield _led_astray(error)
        return
    if wrong:
        fix = mend if os.geteuid() == 0 else None  # nobody else may give files away
        yield failure(f"not of {site.user}: {some(wrong)}", f"sudo chown -R {site.user}: {folders}", fix)
    else:
        yield ok(f"all of {site.user}: {folders}" if folders else "not there yet; the first start makes them")


def data_modes(site: Site) -> Findings:
    """Whether nobody else can read the data and the logs, and their owner can write them."""
    folders = " ".join(map(str, _folders(site)))
    try:
        wrong = _paths(site, _has_wrong_mode)
    except privileges.ForeignLink as error:
        yield _led_astray(error)
        return
    if wrong:
        remedy = f"sudo chmod -R u=rwX,go= {folders}"
        yield failure(f"modes are not 0700 and 0600: {some(wrong)}", remedy, lambda: _mend_modes(site))
    else:
        yield ok(f"private: {folders}" if folders else "not there yet; the first start makes them")


@as_its_user
def database(site: Site) -> Findings:
    """Whether the database is ours and in order (SQLite's quick_check); a running appliance goes on meanwhile."""
    file = site.settings.data_dir / "pivision.db"
    if not file.exists():
        yield ok(f"{file} is not there yet; the first start makes it")
    elif not os.access(file, os.R_OK):
        yield warning(f"only {site.user} and root can read {file}", AS_ROOT)
    else:
        try:
            faults = site.ask("database", str(file), timeout_seconds=_DATABASE_SECONDS)
        except NoAnswer as reason:
            remedy = f"sudo fuser -v {file}, to see who has it open" if site.python.exists() else INSTALL
            yield warning(f"not checked: {reason}", remedy)
            return
        remedy = "sudo systemctl restart pivision; its start moves the file aside and goes on from the newest backup"
        yield failure(f"{file}: {'; '.join(faults)}", remedy) if faults else ok(f"{file}: in order")


@as_its_user
def free_space(site: Site) -> Findings:
    """Whether the disk has room for more than the reserve, and inodes."""
    folder = _nearest(site.settings.data_dir)
    disk = os.statvfs(folder)
    free, reserve = disk.f_bavail * disk.f_frsize, site.settings.disk_reserve_bytes
    seen = f"{free >> 20} MiB free at {folder}, the reserve is {reserve >> 20} MiB"
    remedy = f"sudo apt clean; du -xh {folder} | sort -h | tail: remove what nobody needs, or lower max_age_days"
    if free < reserve:
        yield failure(f"{seen}: uploads are refused", remedy)
    elif free < 2 * reserve:
        yield warning(seen, remedy)
    else:
        yield ok(seen)
    if disk.f_files and disk.f_favail < _FEW_INODES:
        yield failure(f"{disk.f_favail} inodes free at {folder}: no more files can be made", remedy)


@as_its_user
def filesystem(site: Site) -> Findings:
    """Whether the disk can be written, and knows files without a name (O_TMPFILE), which a crash leaves nothing of."""
    folder = _nearest(site.settings.data_dir)
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        remedy = (
            "sudo dmesg | grep -i -e mmc -e ext4; then sudo mount -o remount,rw the disk, or replace a worn SD card"
        )
        yield failure(f"{folder} is on a filesystem that is mounted read-only", remedy)
        return
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600))
    except PermissionError:
        yield warning(f"only {site.user} and root can write to {folder}", AS_ROOT)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
            raise
        remedy = "move data_dir to ext4, XFS, Btrfs or tmpfs; docs/configuration.md"
        yield failure(f"the filesystem of {folder} has no O_TMPFILE: no picture can be taken in", remedy)
    else:
        yield ok(f"{folder} can be written, and knows O_TMPFILE")


def _nearest(folder: Path) -> Path:
    """`folder`, or what it will be made in."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _wanted(site: Site) -> privileges.User:
    """Raises KeyError when the unit names a user who is not there."""
    return site.account if site.user == site.account.pw_name else pwd.getpwnam(site.user)


def _led_astray(error: privileges.ForeignLink) -> Finding:
    return warning(f"not checked: {error.filename}: {error.strerror}", "let data_dir or log_dir name its target")


def _folders(site: Site) -> list[Path]:
    return [folder for folder in (site.settings.data_dir, site.settings.log_dir) if folder.is_dir()]


def _wrong(site: Site, is_wrong: Judge) -> Iterator[tuple[Path, os.stat_result, int]]:
    """Each folder and file that is wrong, with a descriptor of it. Raises OSError, for others' links as well."""
    for folder in _folders(site):
        for path, descriptor in privileges.entries(folder):
            if is_wrong(status := os.fstat(descriptor)):
                yield path, status, descriptor


def _paths(site: Site, is_wrong: Judge) -> list[Path]:
    return [path for path, _, _ in _wrong(site, is_wrong)]


def _mend_modes(site: Site) -> None:
    """As the user, who may do so to his own files and to no others."""

    def mend() -> None:
        for _, status, descriptor in _wrong(site, _has_wrong_mode):
            Path(f"/proc/self/fd/{descriptor}").chmod(_mode(status))

    privileges.as_user(site.account, mend)


def _has_wrong_mode(status: os.stat_result) -> bool:
    if not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode):
        return False
    return bool(status.st_mode & 0o077) or status.st_mode & _mode(status) != _mode(status)


def _mode(status: os.stat_result) -> int:
    return 0o700 if stat.S_ISDIR(status.st_mode) else 0o600
