"""What the service sees and may use, and what root does for it, on a booted machine."""

import functools
import re

import pytest

from tests.box import eventually
from tests.machine.machine import PROJECT, Machine

DROP_IN = "/etc/systemd/system/pivision.service.d/test.conf"
INSTALL = "sudo make install OPTIONS='--wheels /wheels'"


def inside(machine: Machine, line: str) -> str:
    """What a shell of the service's user says that sees what the server sees."""
    server = str(eventually(lambda: machine.pid("server"), "the server runs"))
    as_user = ("setpriv", "--reuid=djg", "--regid=djg", "--clear-groups")
    return machine.run("nsenter", f"--target={server}", "--mount", *as_user, "sh", "-c", line, check=False).stdout


def test_no_home_is_seen_but_the_checkout(machine: Machine) -> None:
    machine.types("mkdir -p ~/.ssh && echo precious > ~/.ssh/id_ed25519 && chmod 600 ~/.ssh/id_ed25519")
    assert "No such file" in inside(machine, "cat /home/djg/.ssh/id_ed25519")
    assert inside(machine, "ls -A /home /home/djg /home/djg/Projects").split() == [
        *("/home:", "djg", "/home/djg:", "Projects", "/home/djg/Projects:", "PiVision")
    ]


def test_it_writes_nothing_but_its_folders(machine: Machine) -> None:
    for folder in (PROJECT, f"{PROJECT}/pivision", f"{PROJECT}/.venv/bin", "/home/djg", "/etc", "/usr"):
        assert re.search("Read-only file system|Permission denied", inside(machine, f"touch {folder}/new")), folder
    inside(machine, "touch /home/new")  # systemd 252 lets it into the empty home, which is nobody else's
    assert machine.run("test", "-e", "/home/new", check=False).returncode == 1
    for folder in (f"{PROJECT}/data", f"{PROJECT}/logs", "/run/pivision", "/tmp"):
        assert inside(machine, f"touch {folder}/new && rm {folder}/new") == "", folder


def test_the_worker_is_the_first_to_go_and_descriptors_suffice(machine: Machine) -> None:
    may_lower = machine.run("sh", "-c", "echo -500 > /proc/self/oom_score_adj", check=False).returncode == 0
    lowest = "-500" if may_lower else "0"  # in a container without CAP_SYS_RESOURCE
    for program, score in (("supervisord", lowest), ("server", lowest), ("health", lowest), ("worker", "500")):
        process = f"/proc/{eventually(functools.partial(machine.pid, program), program)}"
        assert machine.run("cat", f"{process}/oom_score_adj").stdout.strip() == score, program
        assert re.search(r"Max open files +8192 +8192 ", machine.run("cat", f"{process}/limits").stdout), program
    shown = machine.run("systemctl", "show", "--property=OOMPolicy,TasksMax,MemoryMax", "pivision").stdout
    assert {"OOMPolicy=continue", "TasksMax=1024"} <= set(shown.split())
    assert "MemoryMax=infinity" not in shown


@pytest.mark.parametrize(("groups", "is_seen"), [("video", True), ("", False)])
def test_a_camera_is_read_by_the_group_of_cameras(machine: Machine, groups: str, is_seen: bool) -> None:
    """By the user of the unit, in a user namespace of its own: a device of the kind that every sandbox lets through."""
    machine.run("gpasswd", "--delete", "djg", "video", check=False)
    machine.run("rm", "-f", "/dev/video0")
    machine.run("sh", "-ec", "mknod /dev/video0 c 1 5 && chgrp video /dev/video0 && chmod 0660 /dev/video0")
    machine.run("rm", "-f", f"{PROJECT}/data/camera")
    machine.run("mkdir", "-p", DROP_IN.rpartition("/")[0])
    read = (
        f"-/bin/sh -c 'head -c 4 /dev/video0 > {PROJECT}/data/camera; cat /proc/self/uid_map >> {PROJECT}/data/camera'"
    )
    text = f"[Service]\nSupplementaryGroups=\nSupplementaryGroups={groups}\nExecStartPre={read}\n"
    machine.run("tee", DROP_IN, stdin=text.encode())
    machine.run("sh", "-ec", "systemctl daemon-reload && systemctl restart pivision", timeout=150)
    seen = machine.run("cat", f"{PROJECT}/data/camera").stdout
    machine.run("rm", DROP_IN, f"{PROJECT}/data/camera")
    machine.run("sh", "-ec", "systemctl daemon-reload && systemctl restart pivision", timeout=150)
    assert seen.startswith("\0\0\0\0") == is_seen
    assert "4294967295" not in seen, "PrivateUsers= is in force"


def test_folders_elsewhere_in_a_home_are_seen(machine: Machine) -> None:
    """None of them is below the checkout; a link to one is, another link is hidden and refused."""
    machine.types("mkdir -p ~/store/pictures && chmod 700 ~/store/pictures && ln -s ~/store/pictures ~/store/data")
    machine.types("ln -s ~/store/pictures elsewhere")
    machine.types("mkdir -p ~/store/models && echo own > ~/store/models/note")
    lines = 'log_dir = "/home/djg/store/logs"\nmodels_dir = "/home/djg/store/models"\n'
    machine.run("tee", f"{PROJECT}/pivision.toml", user="djg", stdin=f'data_dir = "../../store/data"\n{lines}'.encode())
    assert "name /home/djg/store/pictures instead" in machine.types(INSTALL, check=False, timeout=300).stdout
    machine.run("tee", f"{PROJECT}/pivision.toml", user="djg", stdin=f'data_dir = "elsewhere"\n{lines}'.encode())
    machine.types(INSTALL, timeout=300)
    assert inside(machine, "cat /home/djg/store/models/note; ls -A /home/djg/store").split() == [
        *("own", "logs", "models", "pictures")
    ]
    machine.types("test -s ~/store/pictures/pivision.db && test -s ~/store/logs/server.log")
    machine.types("rm -r ~/store/logs && sudo systemctl restart pivision && test -d ~/store/logs", timeout=150)
    machine.types("rm pivision.toml")
    machine.types(INSTALL, timeout=300)


def test_who_holds_the_port_is_said_to_the_owner_all_the_same(machine: Machine) -> None:
    look = "python3 -c 'from pivision import port; h = port.holder(8080); print(h, h.stop_command, sep=chr(10))'"
    assert machine.types(look).stdout.splitlines() == [
        "a process of pivision.service",
        "sudo systemctl stop pivision.service",
    ]


def test_the_owners_shell_is_out_of_the_services_reach(machine: Machine) -> None:
    """Its /proc/PID/root would lead out of the sandbox: the same user, but another user namespace."""
    shell = machine.types("sleep 300 > /dev/null 2>&1 < /dev/null & echo $!").stdout.strip()
    server = machine.pid("server")
    same = ("nsenter", f"--target={server}", "--mount", "--user", "--setuid=1000", "--setgid=1000", "ls")
    for path in (f"/proc/{shell}/root/home/djg", f"/proc/{shell}/cwd/"):
        assert "Permission denied" in machine.run(*same, path, check=False).stdout, path
    machine.run("kill", shell)


def test_a_checkout_that_others_may_write_is_refused(machine: Machine) -> None:
    machine.types("chmod g+w pivision/install")
    refused = machine.types(INSTALL, check=False)
    assert refused.returncode != 0
    assert f"group or others may write: {PROJECT}/pivision/install: sudo chmod -R go-w {PROJECT}" in refused.stdout
    machine.types("chmod g-w pivision/install && chmod o+w ..")
    refused = machine.types(INSTALL, check=False)
    assert refused.returncode != 0
    assert "somebody else may put another folder in the place of this one: /home/djg/Projects" in refused.stdout
    machine.types("chmod o-w ..")


def test_root_deletes_nothing_that_the_user_could_not(machine: Machine) -> None:
    machine.run("sh", "-ec", "mkdir /srv/precious && echo precious > /srv/precious/file && chmod 755 /srv/precious")
    machine.types("echo 'log_dir = \"/srv/precious\"' > pivision.toml")
    refused = machine.types("sudo python3 -m pivision uninstall --data --yes --dry-run", check=False)
    assert "delete /srv/precious" in refused.stdout
    refused = machine.types("sudo python3 -m pivision uninstall --data --yes", check=False, timeout=150)
    assert refused.returncode != 0
    assert "Permission denied" in refused.stdout
    assert machine.run("cat", "/srv/precious/file").stdout == "precious\n"
    machine.types("rm pivision.toml")
    machine.types("sudo python3 -m pivision uninstall --data --yes", timeout=150)
    assert machine.types("ls -d data", check=False).returncode != 0

    machine.types("ln -s /etc/cron.d/new logs 2>/dev/null || { rmdir logs; ln -s /etc/cron.d/new logs; }")
    before = machine.run("sh", "-c", "ls -laR /etc/cron.d 2>&1 | grep -v total").stdout
    assert machine.types(INSTALL, check=False, timeout=300).returncode != 0
    assert machine.run("sh", "-c", "ls -laR /etc/cron.d 2>&1 | grep -v total").stdout == before
