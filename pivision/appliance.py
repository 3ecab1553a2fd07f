"""Makes everything ready that supervisord relies on, and then becomes supervisord.

Folders, secrets and settings are in order, or there is one clear line, before anything runs: supervisord itself ends
for good when a log folder or a variable is missing.
"""

import contextlib
import fcntl
import hashlib
import os
import resource
import secrets
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from pivision import instance, listening, owner, port, program
from pivision.config import ROOT, ROOT_NOTE, Settings
from pivision.errors import ApplianceRunning, ConfigInvalid
from pivision.health import deaths, folders
from pivision.instance import Instance
from pivision.models import Models, starter
from pivision.models.progress import Progress
from pivision.supervision import Supervisor, Unreachable

CONF = ROOT / "conf" / "supervisord.conf"
_HASTEN_SECONDS = 10.0
_DESCRIPTORS = 8192  # as in systemd/pivision.service, for 512 connections, streams, and a spool file for each upload
_LOOK_SECONDS = 1.0


def run(settings: Settings, unattended: bool) -> NoReturn:
    """Become supervisord, which starts the programs.

    Attended, the port must be free, models that are missing are downloaded if they can be, and the addresses are
    printed with the owner's token. Unattended, at boot, there is nobody to read it, and a port that is held is health's
    business: the server starts once it is free.
    Raises ApplianceRunning before anything is changed, PortTaken and ConfigInvalid.
    """
    os.umask(0o077)  # supervisord in the foreground ignores its own setting
    with _folders_in_use():
        locks = _lock(settings, unattended)
        folders.restore_secrets(settings.secrets_dir, settings.run_dir / "secrets")
        for folder in (settings.log_dir, settings.secrets_dir):
            program.make_private_folder(folder)
        if not unattended:
            port.require_free(settings.host, settings.port)
            port.require_free("127.0.0.1", settings.supervisor_port)
            _bring_models(settings)
            _greet(settings)
        environment = {**os.environ, **settings.environment(), **_for_conf(settings)}
        environment.pop("PIVISION_CLIENT_TOKEN", None)  # of the shell's commands: no program needs it
        (settings.run_dir / ROOT_NOTE).write_text(str(ROOT), encoding="utf-8")
        for file in (deaths.BOOKMARK, deaths.LOG):
            (settings.run_dir / file).unlink(missing_ok=True)
    _raise_descriptors()
    _hasten(settings.run_dir / "supervisor.sock", locks)
    _hand_over(locks)
    os.chdir(ROOT)  # where supervisord finds its plugin, in the package
    silent = [] if unattended else ["--silent"]  # in a terminal the address stays the last line
    supervisord = [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", *silent, "-c", str(CONF)]
    os.execve(sys.executable, supervisord, environment)


def _raise_descriptors() -> None:
    """Let every program open as many files as the unit's LimitNOFILE= allows, as far as the terminal lets this one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


@contextlib.contextmanager
def _folders_in_use() -> Iterator[None]:
    """Raise ConfigInvalid for a folder that cannot be made or written."""
    try:
        yield
    except OSError as error:
        raise ConfigInvalid(f"{error.filename or 'the folders'}: {error.strerror}") from None


def _lock(settings: Settings, unattended: bool) -> list[int]:
    """Take the locks of the data and the run folder. Unattended, wait for them."""
    url = listening.url(listening.reachable_host(settings.host), settings.port)
    here = Instance(os.getpid(), url, settings.places())
    is_said = False
    while True:
        locks: list[int] = []
        try:
            for folder in (settings.data_dir, settings.run_dir):
                program.make_private_folder(folder)
                locks.append(_held(folder, here, unattended))
            return locks
        except ApplianceRunning as error:
            for lock in locks:
                os.close(lock)
            if not unattended:
                raise
            if not is_said:
                print(f"pivision: {error}; this one waits until that has ended", file=sys.stderr, flush=True)
                is_said = True
            time.sleep(_LOOK_SECONDS)


def _held(folder: Path, here: Instance, unattended: bool) -> int:
    """Return the lock of `folder`. Unattended, a disk that is full or read-only is no reason to answer nobody."""
    try:
        return instance.hold(folder, here)
    except OSError as error:
        if not unattended:
            raise
        print(f"pivision: {folder}: {error.strerror}; it is locked as soon as it can be", file=sys.stderr, flush=True)
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)  # in its place: supervisord's upkeep takes the lock


def _hand_over(locks: list[int]) -> None:
    """Give supervisord the locks under descriptors that it keeps when it reloads its configuration."""
    above = [fcntl.fcntl(lock, fcntl.F_DUPFD_CLOEXEC, max(instance.DESCRIPTORS) + 1) for lock in locks]
    for lock, descriptor in zip(above, instance.DESCRIPTORS, strict=True):
        os.dup2(lock, descriptor, inheritable=True)


def _hasten(socket: Path, locks: list[int]) -> None:
    """Call supervisord as soon as it listens: it starts the programs after the first turn of its loop, in a second."""
    if os.fork():
        os.wait()  # for the child, which leaves its own child to init: supervisord need not know of it
        return
    if os.fork() == 0:
        for lock in locks:  # they are supervisord's
            os.close(lock)
        supervisor = Supervisor(str(socket), timeout_seconds=1)
        give_up = time.monotonic() + _HASTEN_SECONDS
        while time.monotonic() < give_up:
            with contextlib.suppress(*Unreachable):
                supervisor.wake()
                break
            time.sleep(0.02)
    os._exit(0)


def _bring_models(settings: Settings) -> None:
    """Try once: what needs no model works without them, and a box without a network must start, too."""
    attempt = starter.try_once(Models(settings.models_dir), settings.model_mirror, Progress())
    if attempt.remedy:
        print(attempt.remedy, file=sys.stderr, flush=True)


def _greet(settings: Settings) -> None:
    from pivision import greeting  # unattended, nothing depends on the libraries that it needs

    greeting.show(settings, owner.token(settings.secrets_dir) if settings.auth == "token" else None)


def _for_conf(settings: Settings) -> dict[str, str]:
    """What conf/supervisord.conf needs beyond the settings."""
    return {
        "PIVISION_ROOT": str(ROOT),
        "PIVISION_PYTHON": shlex.quote(sys.executable),
        "PIVISION_LOG_FILES": str(settings.log_dir).replace("%", "%%"),  # stdout_logfile= is expanded twice
        program.PARENT: str(os.getpid()),  # as which supervisord goes on
        "PIVISION_TO_JOURNAL": str(
            "JOURNAL_STREAM" in os.environ
        ).lower(),  # systemd sets it when our output goes there
        "PIVISION_DESCRIPTORS": str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        "PIVISION_WEB_PASSWORD_SHA": _hashed(web_password(settings)),
    }


def web_password_file(settings: Settings) -> Path:
    """Where the owner reads the password of supervisord's web page."""
    return settings.secrets_dir / "supervisor-web-password"


def web_password(settings: Settings) -> str:
    """The password of supervisord's web page, made when there is none yet."""
    file = web_password_file(settings)
    with contextlib.suppress(FileNotFoundError):
        return file.read_text(encoding="ascii").strip()
    password = secrets.token_urlsafe(24)
    new = file.with_suffix(".new")
    new.write_text(password + "\n", encoding="ascii")
    new.replace(file)
    return password


def _hashed(password: str) -> str:
    """As supervisord takes it: then the password itself stands in no configuration, no environment and no `ps`."""
    return "{SHA}" + hashlib.sha1(password.encode()).hexdigest()  # noqa: S324  # supervisord's format; 192 random bits
