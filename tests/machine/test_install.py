"""`sudo make install`, upgrade and uninstall on a machine that has just been set up, as its owner types them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.box import eventually
from tests.machine import root
from tests.machine.conftest import booted
from tests.machine.machine import PROJECT, Machine
from tests.machine.root import Release

INSTALL = "sudo make install OPTIONS='--wheels /wheels'"
UPGRADE = "sudo make upgrade OPTIONS='--wheels /wheels'"
PICTURE = Path(__file__).parent.parent.joinpath("pictures", "code128-1.png").read_bytes()
OLD_UNITS = (  # of the owner's older services, one of which holds the port, and of his first plan
    *("aifoodstand-camera", "aifoodstand-server", "aifoodstand-uploader", "foodstand-backend"),
    *("pivision-server", "pivision-worker"),
)
ORIGIN = "/home/djg/origin.git"


pytestmark = root.on_each_release


@pytest.fixture(scope="module")
def machine(release: Release) -> Iterator[Machine]:
    """A machine with a clone of the project, as it is after `git clone`."""
    with booted(release=release) as machine:
        clone(machine, PROJECT, "djg")
        yield machine


@pytest.fixture(scope="module")
def said(machine: Machine) -> str:
    """What the first installation has said."""
    output = machine.types(f"{INSTALL[:-1]} --fix --yes'", timeout=600).stdout
    machine.token = machine.types("cat data/secrets/owner-token").stdout.strip()
    return output


def clone(machine: Machine, folder: str, user: str) -> None:
    """A clone of a repository that has the checkout as it stands now."""
    machine.run("mkdir", "--parents", "/tmp/seed")
    machine.run("tar", "--extract", "--directory=/tmp/seed", stdin=root.project())
    machine.run("chown", "--recursive", f"{user}:", "/tmp/seed")
    lines = (
        "git config --global user.name djg && git config --global user.email djg@localhost",
        "cd /tmp/seed && git init -q --initial-branch=main && git add -A && git commit -qm First",
        f"git clone -q --bare /tmp/seed ~/origin.git && mkdir -p {folder} && git clone -q ~/origin.git {folder}",
    )
    for line in lines:
        machine.run("sh", "-ec", line, user=user)


def publish(machine: Machine, change: str, subject: str) -> None:
    """Somebody pushes a change of the project to where it was cloned from."""
    machine.types("cd /tmp/seed && git fetch -q ~/origin.git && git reset -q --hard FETCH_HEAD")
    machine.types(f"cd /tmp/seed && {change} && git add -A && git commit -qm '{subject}'")
    machine.types("cd /tmp/seed && git push -q ~/origin.git HEAD:main")


def main_process(machine: Machine) -> str:
    return machine.run("systemctl", "show", "--property=MainPID,NRestarts", "pivision").stdout


def state(machine: Machine) -> str:
    """Every file that an installation may touch, with owner, mode and time; not what the service writes."""
    where = f"/etc/systemd/system /usr/local/bin {PROJECT}"
    not_its = f"-path {PROJECT}/data -o -path {PROJECT}/logs -o -name __pycache__"
    return machine.run(
        "sh", "-c", f"find {where} \\( {not_its} \\) -prune -o -printf '%p %u %m %T@ %l\\n' | sort"
    ).stdout


def test_what_is_not_told_to_go_is_not_touched(machine: Machine) -> None:
    for unit in OLD_UNITS:
        command = "/usr/bin/python3 -m http.server 8080" if unit == "aifoodstand-server" else "/usr/bin/sleep infinity"
        text = f"[Service]\nExecStart={command}\n[Install]\nWantedBy=multi-user.target\n"
        machine.run("tee", f"/etc/systemd/system/{unit}.service", stdin=text.encode())
        machine.run("systemctl", "enable", "--now", unit)
    eventually(lambda: ":8080" in machine.run("ss", "-lnt").stdout, "the port is taken")
    before = state(machine)

    refused = machine.types(INSTALL, check=False)
    assert refused.returncode != 0
    assert "aifoodstand-server.service" in refused.stdout
    assert "sudo systemctl disable --now aifoodstand-server.service" in refused.stdout
    assert state(machine) == before
    assert machine.run("systemctl", "is-active", "aifoodstand-server").stdout.strip() == "active"

    machine.types(f"{INSTALL[:-1]} --fix --yes --dry-run'", check=False)
    assert state(machine) == before, "not in a dry run either"
    assert machine.run("systemctl", "is-active", "aifoodstand-server").stdout.strip() == "active"


def test_one_command_installs_and_waits_until_it_serves(machine: Machine, said: str) -> None:
    assert machine.get("/readyz").status == 200, said
    for question, answer in (("is-active", "inactive"), ("is-enabled", "disabled")):
        assert machine.run("systemctl", question, *OLD_UNITS, check=False).stdout.split() == [answer] * len(OLD_UNITS)
    assert machine.run("systemctl", "is-enabled", "pivision").stdout.strip() == "enabled"
    assert machine.run("systemd-analyze", "verify", "--man=no", "/etc/systemd/system/pivision.service").stdout == ""


def test_a_second_run_changes_nothing_and_restarts_nothing(machine: Machine, said: str) -> None:
    before = state(machine), main_process(machine), machine.token
    output = machine.types(INSTALL).stdout
    assert (
        state(machine),
        main_process(machine),
        machine.types("cat data/secrets/owner-token").stdout.strip(),
    ) == before
    assert re.findall(r"^  does   (.*)", output, re.MULTILINE) == [
        "wait until http://127.0.0.1:8080/readyz answers 200"
    ]


def test_the_doctor_agrees(machine: Machine, said: str) -> None:
    examined = json.loads(machine.types("sudo python3 -m pivision doctor --json").stdout)
    assert not [finding for finding in examined["findings"] if finding["state"] == "failure"]
    assert [finding["state"] for finding in examined["findings"] if finding["check"] == "unit"] == ["ok"]
    assert machine.run("find", PROJECT, "!", "-user", "djg").stdout == "", "nor has it left files of root"


def test_the_token_is_in_its_file_and_nowhere_else(machine: Machine, said: str) -> None:
    assert f"its access token is in {PROJECT}/data/secrets/owner-token" in said
    status = "curl --silent --output /dev/null --write-out '%{http_code}' http://127.0.0.1:8080/v1/tasks"
    assert machine.types(status).stdout == "401"
    assert machine.types(f'{status} -H "Authorization: Bearer $(cat data/secrets/owner-token)"').stdout == "200"
    password = machine.types("cat data/secrets/supervisor-web-password").stdout.strip()
    everything = said + machine.run("journalctl", "--no-pager").stdout + machine.run("ps", "axeww").stdout
    everything += machine.types("cat logs/*.log").stdout
    assert machine.token
    assert machine.token not in everything
    assert password not in everything


def test_every_file_is_the_owners_and_what_is_secret_for_him_alone(machine: Machine, said: str) -> None:
    assert machine.run("find", PROJECT, "!", "-user", "djg").stdout == ""
    modes = machine.types(
        "stat --format '%n %a %U' data logs data/secrets data/secrets/owner-token"
    ).stdout.splitlines()
    modes += machine.types(
        "stat --format '%n %a %U' data/secrets/supervisor-web-password data/secrets/tokens/*"
    ).stdout.splitlines()
    assert modes
    for line in modes:
        name, mode, owner = line.split()
        is_file = name.startswith("data/secrets/") and not name.endswith("tokens")
        assert (mode, owner) == ("600" if is_file else "700", "djg"), line
    assert machine.run("stat", "--format=%a %U", "/etc/systemd/system/pivision.service").stdout == "644 root\n"


def test_the_four_commands_that_are_printed_work_from_the_owners_shell(machine: Machine, said: str) -> None:
    status, supervisor, journal, tail = re.findall(r"^  (\S.*)", said.rpartition("owner-token")[2], re.MULTILINE)
    assert "active (running)" in machine.types(f"cd /; {status}").stdout
    assert re.search(r"worker:worker_1 +RUNNING", machine.types(f"cd /; {supervisor}").stdout)
    assert "supervisord started" in machine.types(f"cd /; timeout 3 {journal} --lines=1000", check=False).stdout
    assert "ready" in machine.types(f"cd /; timeout 3 {tail}", check=False).stdout
    assert (status, supervisor) == ("systemctl status pivision", "supervisorctl status")
    assert (journal, tail) == ("journalctl -u pivision -f", "supervisorctl tail -f worker")
    assert machine.run("supervisorctl", "status").returncode == 0, "and from root's"


def test_a_changed_setting_is_a_reason_to_restart(machine: Machine, said: str) -> None:
    before = main_process(machine)
    machine.types("echo 'reboots_max = 1' > pivision.toml")
    assert "systemctl restart pivision" in machine.types(INSTALL, timeout=150).stdout
    assert main_process(machine) != before
    assert machine.get("/readyz").status == 200
    assert "reboot" in machine.run("systemctl", "show", "--property=ExecStopPost", "pivision").stdout

    machine.types("rm pivision.toml")
    machine.types(INSTALL, timeout=150)
    assert "systemctl reboot" not in machine.run("systemctl", "show", "--property=ExecStopPost", "pivision").stdout


def test_another_supervisors_command_is_left_alone(machine: Machine, said: str) -> None:
    machine.run(
        "sh", "-c", "printf '#!/bin/sh\\necho other\\n' > /usr/bin/supervisorctl && chmod 755 /usr/bin/supervisorctl"
    )
    machine.run("rm", "/usr/local/bin/supervisorctl")
    output = machine.types(INSTALL).stdout
    assert "/usr/bin/supervisorctl is another supervisor's and stays" in output
    assert machine.run("cat", "/usr/bin/supervisorctl").stdout == "#!/bin/sh\necho other\n"
    assert machine.run("test", "-e", "/usr/local/bin/supervisorctl", check=False).returncode != 0
    (command,) = re.findall(r"^  (\S*/supervisorctl .* status)$", output, re.MULTILINE)
    assert re.search(r"worker:worker_1 +RUNNING", machine.types(f"cd /; {command}").stdout)
    machine.run("rm", "/usr/bin/supervisorctl")
    machine.types(INSTALL)


def test_an_upgrade_brings_the_new_version_and_loses_nothing(machine: Machine, said: str) -> None:
    publish(machine, "sed -i 's/^__version__ = .*/__version__ = \"7.0.0\"/' pivision/__init__.py", "Good")
    tasks = [machine.post(PICTURE).json["id"] for _ in range(30)]  # some of them are at work, or wait, when it stops
    machine.types(UPGRADE, timeout=300)
    assert machine.get("/v1/system").json["versions"]["pivision"] == "7.0.0"
    assert all(machine.finished(task)["state"] == "done" for task in tasks)
    assert machine.run("find", PROJECT, "!", "-user", "djg").stdout == ""
    assert "way-back" not in machine.run("systemctl", "list-unit-files").stdout

    again = machine.types(UPGRADE).stdout
    assert "does" not in again
    assert "Good" in again


def test_a_local_change_is_not_lost_by_an_upgrade(machine: Machine, said: str) -> None:
    publish(machine, "echo >> README.md", "Newer")
    machine.types("echo mine >> docs/api.md")
    refused = machine.types(UPGRADE, check=False)
    assert refused.returncode != 0
    assert "docs/api.md" in refused.stdout
    assert machine.types("tail --lines=1 docs/api.md").stdout == "mine\n"
    machine.types("git checkout docs/api.md")


BREAK = (
    "sed -i '1i raise SystemExit(3)' pivision/server.py"
    " && echo 'CREATE TABLE newer (x INTEGER) STRICT;' > pivision/store/migrations/9999_newer.sql"
    " && sed -i 's/^psutil==[^ ]*/&.0/' requirements.txt requirements.lock"
)
"""A server that does not start, a schema that the old version does not know, another environment."""


def test_an_upgrade_goes_back_at_the_next_boot_when_the_plug_is_pulled(machine: Machine, said: str) -> None:
    publish(machine, BREAK, "Broken")
    tasks = [machine.post(PICTURE).json["id"] for _ in range(3)]
    log = "/home/djg/upgrade.log"
    machine.types(f"setsid {UPGRADE} > {log} 2>&1 < /dev/null &")
    is_on_trial = f"tail --lines=2 {log} | grep --quiet 'systemctl start pivision'"
    eventually(lambda: machine.types(is_on_trial, check=False).returncode == 0, "the new version is on trial", 120)
    eventually(lambda: machine.pids("pivision.worker"), "its worker has begun, which migrates the database")
    machine.pull_plug()
    machine.boot()
    is_served_by_old_version(machine, tasks)


def test_an_upgrade_to_a_version_that_does_not_answer_goes_back(machine: Machine, said: str) -> None:
    tasks = [machine.post(PICTURE).json["id"] for _ in range(3)]
    failed = machine.types(UPGRADE, check=False, timeout=400)
    assert failed.returncode != 0
    assert "(Broken) did not work" in failed.stdout
    assert "(Good) serves again" in failed.stdout
    machine.types("test -s data/before-upgrade/refused-pivision.db")  # it had migrated the database
    is_served_by_old_version(machine, tasks)


def is_served_by_old_version(machine: Machine, tasks: list[int]) -> None:
    eventually(lambda: machine.get("/readyz").status == 200, "the old version serves", 60)
    assert machine.get("/v1/system").json["versions"]["pivision"] == "7.0.0"
    assert all(machine.finished(task)["state"] == "done" for task in tasks)
    assert "Broken" not in machine.types("git log --oneline -1").stdout
    assert machine.types("git status --porcelain --untracked-files=no").stdout == ""
    assert machine.run("find", PROJECT, "!", "-user", "djg").stdout == ""
    assert "way-back" not in machine.run("systemctl", "list-unit-files").stdout
    assert "  ok     runs, with all of this" in machine.types(INSTALL).stdout


def test_uninstall_leaves_the_data_unless_told(machine: Machine, said: str) -> None:
    before = machine.types("ls data/images | wc --lines; cat data/secrets/owner-token").stdout
    machine.types("sudo make uninstall", timeout=150)
    for gone in ("/etc/systemd/system/pivision.service", "/usr/local/bin/supervisorctl", "/run/pivision"):
        assert machine.run("test", "-e", gone, check=False).returncode != 0, gone
    assert ":8080" not in machine.run("ss", "-lnt").stdout
    assert machine.types("ls data/images | wc --lines; cat data/secrets/owner-token").stdout == before

    assert machine.types("echo no | sudo python3 -m pivision uninstall --data", check=False).returncode != 0
    assert machine.types("cat data/secrets/owner-token").stdout
    machine.types("sudo python3 -m pivision uninstall --data --yes")
    assert machine.types("ls -d data logs", check=False).returncode != 0


def test_another_user_and_another_folder(release: Release) -> None:
    with booted(release=release) as machine:
        machine.run("useradd", "--create-home", "--shell", "/bin/bash", "vision")
        machine.run("install", "--directory", "--owner=vision", "/srv/boxes")
        clone(machine, "/srv/boxes/one", "vision")
        machine.run("sh", "-c", "cd /srv/boxes/one && python3 -m pivision install --wheels /wheels", timeout=600)
        machine.token = machine.run("cat", "/srv/boxes/one/data/secrets/owner-token").stdout.strip()
        assert machine.finished(machine.post(PICTURE).json["id"])["state"] == "done"
        assert machine.run("find", "/srv/boxes/one", "!", "-user", "vision").stdout == ""
        assert machine.run("supervisorctl", "status", user="vision").returncode == 0
        assert "djg" not in machine.run("cat", "/etc/systemd/system/pivision.service").stdout
