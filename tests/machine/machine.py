"""A booted machine: a real systemd in a container of its own, with a disk, a network and a process tree of its own.

Its disk is an overlay: what it writes lies in one folder, over the Debian of root.py, and goes with the machine. Its
mounts exist in the mount namespace of the container alone, and the kernel ends the container when the test process
dies, so that neither a process nor a mount is left behind however a test run ends.
"""

import contextlib
import ctypes
import fcntl
import functools
import http.client
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from tests.box import Client, eventually

BOOT_SECONDS = 60.0
HOME = "/home/djg"
PROJECT = f"{HOME}/Projects/PiVision"
SUPERVISORCTL = (
    f"{PROJECT}/.venv/bin/supervisorctl -c {PROJECT}/conf/supervisord.conf -s unix:///run/pivision/supervisor.sock"
)
_FOLDERS, _PREFIX = Path("/var/tmp"), "pivision-machine-"
_REBOOT_ASKED = 133  # the exit status of systemd-nspawn after a reboot from inside
_CLONE_NEWNET = 0x40000000
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
ENDS_WITH_US = (  # systemd-nspawn killed alone would leave the machine running
    *("setpriv", "--pdeathsig=KILL"),
    *("unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"),
)
_START = """
    exec >> "$2/console" 2>&1
    echo 0 > "$4/cgroup.procs"
    mkdir -p /run/systemd/nspawn
    mount -t tmpfs tmpfs /run/systemd/nspawn
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/disk,workdir=$2/work" "$2/root"
    exec systemd-nspawn --quiet --directory="$2/root" --machine=pivision --boot --register=no --keep-unit \\
        --private-network --link-journal=no --console=read-only --bind-ro="$3":/wheels
"""
_libc = ctypes.CDLL(None, use_errno=True)


class Off(ConnectionError):
    """The machine is off; what its screen showed at last."""


class Machine(Client):
    """One machine. `disks` are the folders that its disk shows below what it writes itself, the uppermost first.

    `wheels` is the folder that it sees as /wheels: it has no network to bring packages.
    """

    def __init__(self, disks: Sequence[Path], wheels: Path) -> None:
        self._disks = disks
        self._wheels = wheels
        _clear_what_was_left()
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_FOLDERS))
        for name in ("disk", "work", "root"):
            (self._folder / name).mkdir()
        lock = _locked(self._folder)
        assert lock is not None
        self._lock = lock
        self._cgroup = _cgroups() / self._folder.name
        self._nspawn: subprocess.Popen[bytes] | None = None
        self.token = ""

    @property
    def disk(self) -> Path:
        """What this machine has written, for the disks of another one; look at it when it is off."""
        return self._folder / "disk"

    def boot(self) -> None:
        """Switch it on and wait until systemd has started what it is to start, or has failed to."""
        self.switch_on()
        eventually(self.is_up, "the machine has booted", BOOT_SECONDS)

    def switch_on(self) -> None:
        """Let it boot."""
        self._cgroup.mkdir(exist_ok=True)  # its own, for two machines must not share one: both would manage all of it
        parts = ":".join(map(str, self._disks)), str(self._folder), str(self._wheels), str(self._cgroup)
        self._nspawn = subprocess.Popen(
            [*ENDS_WITH_US, "sh", "-ec", _START, "sh", *parts],
            env={**ENVIRONMENT, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            stdin=subprocess.DEVNULL,
        )

    def comes_back(self) -> None:
        """Let it boot again once it has ended as a reboot asked for inside ends it."""
        assert self._off() == _REBOOT_ASKED, self.console()
        self.switch_on()

    def pull_plug(self) -> None:
        """End every process in it at once. (What the kernel has not yet written to the disk survives this, though.)"""
        os.kill(self._leader(), signal.SIGKILL)
        self._off()

    def power_off(self) -> None:
        """Switch it off in order."""
        self.run("systemctl", "poweroff", check=False)
        self._off()

    def close(self) -> None:
        """Leave nothing of it."""
        if self._nspawn is not None:
            self._nspawn.kill()  # the kernel then ends all that is in it
            self._off()
        _clear(self._folder, self._cgroup)
        self._lock.close()

    def run(
        self, *command: str, user: str = "root", check: bool = True, stdin: bytes = b"", timeout: float = 60
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command inside; as another user, in a login shell. The text of both its outputs is in `stdout`."""
        if user != "root":
            command = ("runuser", "--login", user, "--command", shlex.join(command))
        done = subprocess.run(
            [*self.inside(), *command], env=ENVIRONMENT, input=stdin, stdout=-1, stderr=-2, timeout=timeout
        )
        text = done.stdout.decode(errors="replace")
        assert done.returncode == 0 or not check, f"{shlex.join(command)} ended with {done.returncode}: {text}"
        return subprocess.CompletedProcess(done.args, done.returncode, text)

    def inside(self) -> tuple[str, ...]:
        """What to put before a command so that it runs inside."""
        return (
            "nsenter",
            f"--target={self._leader()}",
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--wdns=/",
            "--",
        )

    def types(self, line: str, *, check: bool = True, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
        """What the owner types: a line of his shell, in the project's folder once there is one."""
        where = f"cd {PROJECT} 2>/dev/null; "
        return self.run("sh", "-c", where + line, user="djg", check=check, timeout=timeout)

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        """To the appliance, within the machine's own network."""
        return _Connection(self._leader(), timeout)

    def network(self) -> contextlib.AbstractContextManager[None]:
        """Sockets that this thread makes meanwhile are in the machine's network."""
        return _network_of(self._leader())

    def pids(self, pattern: str) -> list[int]:
        """The processes whose command line matches, the oldest first."""
        return [int(pid) for pid in self.run("pgrep", "--full", pattern, check=False).stdout.split()]

    def pid(self, program: str) -> int:
        """The process of supervisord, server, health or worker N, as the machine numbers it; 0 when there is none."""
        if program == "supervisord":
            return int(self.run("systemctl", "show", "--property=MainPID", "--value", "pivision").stdout)
        return next(iter(self.pids(f"python -m pivision[.]{program}( |$)")), 0)

    def signal(self, program: str, number: signal.Signals) -> int:
        """Send a signal to a program, and return the pid that it went to."""
        pid = eventually(lambda: self.pid(program), f"{program} is running")
        self.run("kill", f"--signal={number.name}", str(pid))
        return pid

    @property
    def files(self) -> Path:
        """Its files from outside: on, all of them; off, those that it has changed."""
        return self._folder / "disk" if self._nspawn is None else Path(f"/proc/{self._leader()}/root")

    def console(self) -> str:
        """What the machine has written to its screen."""
        return (self._folder / "console").read_text(errors="replace")

    def logs(self) -> str:
        """Everything, for the message of a test that failed."""
        if self._nspawn is None:
            return self.console()
        commands = ("journalctl --no-pager --lines=150", f"tail --lines=40 {PROJECT}/logs/*.log", "systemctl --failed")
        return "\n".join(self.run("sh", "-c", command, check=False).stdout for command in commands)

    def _off(self) -> int:
        """Wait until it is off; systemd-nspawn's exit status."""
        assert self._nspawn is not None
        status = self._nspawn.wait(timeout=90)
        self._nspawn = None
        return status

    def _leader(self) -> int:
        """The first process of the machine, as this side numbers it."""
        if self._nspawn is None:
            raise Off
        for nspawn in _children(self._nspawn.pid):
            for child in _children(nspawn):
                if re.search(r"^NSpid:(\t\d+){2}\t1$", Path(f"/proc/{child}/status").read_text(), re.MULTILINE):
                    return child
        raise Off(self.console()[-2000:])

    def is_up(self) -> bool:
        """Whether systemd has started what it is to start, or has failed to."""
        assert self._nspawn is not None
        assert self._nspawn.poll() is None, self.console()
        try:
            return self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")
        except OSError:
            return False  # there is no first process yet


class _Connection(http.client.HTTPConnection):
    """A connection made inside the network of a process. A socket stays in the network in which it was made."""

    def __init__(self, pid: int, timeout: float) -> None:
        super().__init__("127.0.0.1", 8080, timeout=timeout)
        self._pid = pid

    def connect(self) -> None:
        with _network_of(self._pid):
            super().connect()


@contextlib.contextmanager
def _network_of(pid: int) -> Iterator[None]:
    """This thread, and it alone, is in the network of that process."""
    with open("/proc/thread-self/ns/net") as own, open(f"/proc/{pid}/ns/net") as other:
        _enter(other.fileno())
        try:
            yield
        finally:
            _enter(own.fileno())


def _enter(network: int) -> None:
    if _libc.setns(network, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _cgroups() -> Path:
    """Where the control groups of version 2 are."""
    found = subprocess.run(
        ["findmnt", "-n", "-t", "cgroup2", "-o", "TARGET"], check=True, capture_output=True, text=True
    )
    return Path(found.stdout.split()[0])


def _locked(folder: Path) -> IO[str] | None:
    """A lock that its process holds as long as it lives; None while another one holds it."""
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _clear_what_was_left() -> None:
    """Of test runs that were killed: folders and empty control groups."""
    for lock in _FOLDERS.glob(f"{_PREFIX}*/lock"):
        if held := _locked(lock.parent):
            _clear(lock.parent, _cgroups() / lock.parent.name)
            held.close()


def _clear(folder: Path, cgroup: Path) -> None:
    for group in (Path(name) for name, _, _ in os.walk(cgroup, topdown=False)):
        eventually(functools.partial(_is_removed, group), f"{group} is empty", 10)
    shutil.rmtree(folder, ignore_errors=True)


def _is_removed(cgroup: Path) -> bool:
    with contextlib.suppress(OSError):  # the dead need a moment to leave it
        cgroup.rmdir()
    return not cgroup.exists()
