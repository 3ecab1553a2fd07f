"""Makes everything ready that supervisord relies on, and then becomes supervisord.

Folders, secrets and settings are in order, or there is one clear line, before anything runs: supervisord itself ends
for good when a log folder or a variable is missing.
"""

import contextlib
import hashlib
import os
import resource
import secrets
import sys
import time
from pathlib import Path
from typing import NoReturn

from pivision import port, program, tokens
from pivision.config import ROOT, ROOT_NOTE, Settings
from pivision.health import deaths, folders
from pivision.models import Models, starter
from pivision.models.progress import Progress
from pivision.supervision import Supervisor, Unreachable

CONF = ROOT / "conf" / "supervisord.conf"
_HASTEN_SECONDS = 10.0
_DESCRIPTORS = 8192  # as in systemd/pivision.service, for 512 connections, streams, and a spool file for each upload
_RUN_TOKEN = "run"  # noqa: S105  # the name of the token


def run(settings: Settings, unattended: bool) -> NoReturn:
    """Become supervisord, which starts the programs.

    Attended, the port must be free, models that are missing are downloaded if they can be, and a fresh token is made
    and printed. Unattended, at boot, there is nobody to read it, and a port that is held is health's business: the
    server starts once it is free.
    Raises PortTaken.
    """
    os.umask(0o077)  # supervisord in the foreground ignores its own setting
    folders.restore_secrets(settings.secrets_dir, settings.run_dir / "secrets")
    for folder in (settings.data_dir, settings.log_dir, settings.run_dir, settings.secrets_dir):
        program.make_private_folder(folder)
    if not unattended:
        port.require_free(settings.host, settings.port)
        port.require_free("127.0.0.1", settings.supervisor_port)
        _bring_models(settings)
        _greet(settings)
    _raise_descriptors()
    environment = {**os.environ, **settings.environment(), **_for_conf(settings)}
    (settings.run_dir / ROOT_NOTE).write_text(str(ROOT), encoding="utf-8")
    for file in (deaths.BOOKMARK, deaths.LOG):
        (settings.run_dir / file).unlink(missing_ok=True)
    _hasten(settings.run_dir / "supervisor.sock")
    supervisord = Path(sys.executable).with_name("supervisord")
    os.execve(sys.executable, [sys.executable, str(supervisord), "--nodaemon", "-c", str(CONF)], environment)


def _raise_descriptors() -> None:
    """Let every program open as many files as the unit's LimitNOFILE= allows, as far as the terminal lets this one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _hasten(socket: Path) -> None:
    """Call supervisord as soon as it listens: it starts the programs after the first turn of its loop, in a second."""
    if os.fork():
        os.wait()  # for the child, which leaves its own child to init: supervisord need not know of it
        return
    if os.fork() == 0:
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
    address = f"http://127.0.0.1:{settings.port}/"
    if settings.auth == "token":
        address += f"?token={tokens.create(settings.secrets_dir, _RUN_TOKEN)}"
    print(f"\n    PiVision: {address}\n\n    Ctrl-C stops it; its logs are in {settings.log_dir}\n", flush=True)


def _for_conf(settings: Settings) -> dict[str, str]:
    """What conf/supervisord.conf needs beyond the settings."""
    return {
        "PIVISION_ROOT": str(ROOT),
        "PIVISION_PYTHON": sys.executable,
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
