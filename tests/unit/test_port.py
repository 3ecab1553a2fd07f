"""Who holds a port, seen on real sockets of real processes."""

import contextlib
import os
import pwd
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pivision import port
from pivision.errors import ConfigInvalid, PortTaken
from pivision.port import Holder
from tests import needs
from tests.box import free_port

LISTEN = """
import socket, sys
address, port = sys.argv[1:]
listening = socket.create_server((address, int(port)), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
print(flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def listener(address: str, number: int) -> Iterator[int]:
    """Another process that listens until the block ends; its pid."""
    command = [sys.executable, "-c", LISTEN, address, str(number)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        process.stdout.readline()
        yield process.pid
        process.stdin.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1"])
def test_the_holder_is_named_with_pid_and_command(address: str) -> None:
    number = free_port()
    with listener(address, number) as pid:
        held = port.holder(number)
    assert held is not None
    assert held.pid == pid
    assert held.command is not None
    assert held.command.startswith(f"{sys.executable} -c ")
    assert f"pid {pid} (" in str(held)


def test_nobody_holds_a_port_that_is_free_connected_or_only_bound() -> None:
    number = free_port()
    assert port.holder(number) is None
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", number))
        assert port.holder(number) is None
        with pytest.raises(PortTaken, match="does not listen"):
            port.require_free("127.0.0.1", number)


def test_a_neighbouring_port_is_another_one() -> None:
    number = free_port()
    with listener("127.0.0.1", number):
        others = {port.holder(other) for other in (number - 1, number + 1)}
        held = port.holder(number)
    assert held not in others


def test_a_free_port_is_left_alone_and_a_held_one_is_refused() -> None:
    number = free_port()
    port.require_free("127.0.0.1", number)
    with listener("127.0.0.1", number) as pid, pytest.raises(PortTaken, match=f"held by pid {pid} "):
        port.require_free("127.0.0.1", number)
    with pytest.raises(ConfigInvalid, match=r"host: 203\.0\.113\.1 is no address of this machine"):
        port.require_free("203.0.113.1", number)


@needs.mark("root")
def test_another_users_process_is_said_to_be_hidden() -> None:
    number = free_port()
    with listener("127.0.0.1", number):
        nobody = pwd.getpwnam("nobody")
        child = os.fork()
        if child == 0:
            os.setresuid(nobody.pw_uid, nobody.pw_uid, nobody.pw_uid)
            os._exit(0 if port.holder(number) == Holder(None, None, None) else 1)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_stopped_process_is_seen_as_well() -> None:
    number = free_port()
    with listener("127.0.0.1", number) as pid:
        os.kill(pid, signal.SIGSTOP)
        held = port.holder(number)
        os.kill(pid, signal.SIGCONT)
    assert held is not None
    assert held.pid == pid


@pytest.mark.parametrize(
    ("held", "command", "said"),
    [
        (Holder(7, "nc -l", None), "kill 7", "pid 7 (nc -l), which belongs to no unit"),
        (Holder(7, "a b", "a.service"), "sudo systemctl stop a.service", "pid 7 (a b) of a.service"),
        (Holder(7, "a", "a.service", True), "systemctl --user stop a.service", "pid 7 (a) of a.service"),
        (Holder(1, "/sbin/init", None), "systemctl list-sockets", "pid 1 (/sbin/init), which belongs to no unit"),
        (Holder(None, None, None), "sudo ss -lntp", "a process of another user (sudo ss -lntp names it)"),
    ],
)
def test_what_stops_the_holder_depends_on_whose_it_is(held: Holder, command: str, said: str) -> None:
    assert (held.stop_command, str(held)) == (command, said)


@pytest.mark.parametrize(
    ("groups", "unit", "is_users"),
    [
        ("0::/system.slice/foodstand-backend.service\n", "foodstand-backend.service", False),
        ("0::/system.slice/system-web.slice/web@8080.service/payload\n", "web@8080.service", False),
        ("1:name=systemd:/system.slice/a.service\n0::/system.slice/a.service\n", "a.service", False),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/site.service\n", "site.service", True),
        ("0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", None, False),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", None, False),
        ("0::/\n", None, False),
    ],
)
def test_the_unit_is_told_by_the_control_group(groups: str, unit: str | None, is_users: bool) -> None:
    assert port.unit_of(groups) == (unit, is_users)
