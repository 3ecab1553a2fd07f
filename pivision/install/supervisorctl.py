"""Plain `supervisorctl` for the owner's shell: a few lines in /usr/local/bin, unless another one is there already."""

from pathlib import Path

from pivision.install.account import Account
from pivision.install.venv import ROOT

FILE = Path("/usr/local/bin/supervisorctl")
SOCKET = "unix:///run/pivision/supervisor.sock"
COMMAND = f"{ROOT}/.venv/bin/supervisorctl -c {ROOT}/conf/supervisord.conf -s {SOCKET}"
"""What works in any case."""

_MARK = "# PiVision's, written by its install"
_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def text(user: Account) -> str:
    """The script. supervisord wants group and process where people want the log of `worker`: of the first one.

    Typed by root, the code of the environment runs as the service's user all the same.
    """
    return f"""#!/bin/sh
{_MARK}: speaks to the supervisord of pivision.service.
if [ "$1" = tail ]; then
    for word; do
        shift
        [ "$word" = worker ] && word=worker:worker_1
        set -- "$@" "$word"
    done
fi
as_user=
[ "$(id -u)" = 0 ] && as_user="/usr/sbin/runuser -u {user.name} --"
exec $as_user {COMMAND} "$@"
"""


def is_ours() -> bool:
    """Whether the script was written by an install, of this checkout or another."""
    return FILE.is_file() and _MARK in FILE.read_text(encoding="utf-8", errors="replace")


def other(user: Account) -> Path | None:
    """Another supervisor's command that the user's shell may find; it is never touched."""
    candidates = [Path(folder, "supervisorctl") for folder in _FOLDERS] + [Path(user.home, ".local/bin/supervisorctl")]
    return next((file for file in candidates if file.exists() and not (file == FILE and is_ours())), None)
