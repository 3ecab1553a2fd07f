"""What the doctor finds in unit files: real ones in a system below a folder, with the real systemctl."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pivision import doctor
from pivision.config import ROOT
from pivision.doctor import rivals, unit, unit_file
from pivision.doctor.finding import Finding, Findings
from pivision.doctor.site import Site
from tests import needs

PROJECT = "/home/djg/Projects/PiVision"
COMMITTED = (ROOT / "systemd" / "pivision.service").read_text()

# The units of the first plan, with everything in them that keeps a Pi from coming back by itself.
FIRST_PLAN = f"""
[Unit]
Description=PiVision PROGRAM
After=network.target

[Service]
User=djg
WorkingDirectory={PROJECT}
ExecStart={PROJECT}/.venv/bin/python -m backend.PROGRAM
Restart=on-failure
RestartSec=2
StartLimitIntervalSec=0
StartLimitBurst=5
KillMode=process
TimeoutStopSec=10
Type=notify
WatchdogSec=30
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={PROJECT}/data/pivision.db
ReadWritePaths={PROJECT}/logs
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A system with the owner's user and checkout, and no unit."""
    root = tmp_path / "root"
    for folder in ("etc/systemd/system", f"{PROJECT[1:]}/.venv/bin", f"{PROJECT[1:]}/data", f"{PROJECT[1:]}/logs"):
        (root / folder).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\ndjg:x:1000:1000::/home/djg:/bin/bash\n")
    python = root / PROJECT[1:] / ".venv/bin/python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    return root


def install(root: Path, name: str, text: str, *, enable: bool = True) -> Path:
    """A unit, enabled as a person enables it."""
    file = root / "etc/systemd/system" / name
    file.write_text(text)
    if enable:
        systemctl(root, "enable", name)
    return file


def systemctl(root: Path, *arguments: str) -> str:
    needs.require("systemd")
    command = ["systemctl", f"--root={root}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.strip()


def service(*lines: str) -> str:
    return "\n".join(["[Service]", "ExecStart=/usr/bin/true", *lines, "[Install]", "WantedBy=multi-user.target", ""])


def faults(findings: Findings) -> list[Finding]:
    return [finding for finding in findings if finding.state != "ok"]


def trapped(site: Site) -> dict[str, list[str]]:
    """The faults that each trap's check finds."""
    found: dict[str, list[str]] = {}
    for check, finding in doctor.examine(site, doctor.TRAPS):
        if finding.state != "ok":
            assert finding.remedy
            found.setdefault(check, []).append(finding.seen)
    return found


# Other units


@pytest.mark.parametrize("name", rivals.LEGACY)
def test_an_enabled_legacy_unit_is_found_and_mended(root: Path, name: str) -> None:
    install(root, name, service())
    (found,) = rivals.legacy_units(Site(root=root))
    assert found.state == "failure"
    assert found.seen == f"{name} is enabled"
    assert found.remedy == f"sudo systemctl disable --now {name}"

    assert found.fix is not None
    found.fix()
    assert systemctl(root, "is-enabled", name) == "disabled"
    (found,) = rivals.legacy_units(Site(root=root))
    assert (found.state, found.seen) == ("ok", f"installed, but not starting at boot: {name} (disabled)")


def test_what_starts_a_legacy_unit_is_found_as_well(root: Path) -> None:
    install(root, "aifoodstand-uploader.service", "[Service]\nExecStart=/usr/bin/true\n", enable=False)
    install(root, "aifoodstand-uploader.timer", "[Timer]\nOnBootSec=5\n[Install]\nWantedBy=timers.target\n")
    (found,) = faults(rivals.legacy_units(Site(root=root)))
    assert found.seen == "aifoodstand-uploader.timer is enabled"


def test_a_masked_legacy_unit_is_no_fault(root: Path) -> None:
    systemctl(root, "mask", "foodstand-backend.service")
    assert not faults(rivals.legacy_units(Site(root=root)))


def test_a_system_without_any_of_them_is_in_order(root: Path) -> None:
    site = Site(root=root)
    for check in (rivals.legacy_units, rivals.first_plan_units, rivals.port_units):
        assert [finding.state for finding in check(site)] == ["ok"]


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("ExecStart=/usr/bin/serve --port 8080", True),
        ("ExecStart=/usr/bin/serve --port=8080", True),
        ("ExecStart=/usr/bin/docker run -p8080:80 site", True),
        ("Environment=PORT=8080", True),
        ("ExecStart=/usr/bin/serve 0.0.0.0:8080", True),
        ("ExecStart=/usr/bin/serve \\\n  # a comment within\n  --port \\\n  8080", True),
        ("ExecStart=/usr/bin/serve --port 18080", False),
        ("ExecStart=/usr/bin/serve --port 80801", False),
        ("# ExecStart=/usr/bin/serve --port 8080", False),
        ("; PORT=8080", False),
    ],
)
def test_an_enabled_unit_that_names_the_port_is_found(root: Path, line: str, is_found: bool) -> None:
    file = install(root, "site.service", service(line))
    found = faults(rivals.port_units(Site(root=root)))
    assert [finding.state for finding in found] == (["warning"] if is_found else [])
    if is_found:
        assert found[0].seen == f"site.service starts at boot, and {file} names port 8080"


def test_the_port_is_found_in_drop_ins_environment_files_sockets_and_names(root: Path) -> None:
    install(root, "a.service", service())
    (root / "etc/systemd/system/a.service.d").mkdir()
    (root / "etc/systemd/system/a.service.d/port.conf").write_text("[Service]\nEnvironment=PORT=8080\n")
    install(root, "b.service", service("EnvironmentFile=-/etc/default/b"))
    (root / "etc/default").mkdir()
    (root / "etc/default/b").write_text("# 18080\nPORT=8080\n")
    install(root, "c.socket", "[Socket]\nListenStream=8080\n[Install]\nWantedBy=sockets.target\n")
    install(root, "web-8080.service", service())
    install(root, "asleep.service", service("Environment=PORT=8080"), enable=False)
    found = [finding.seen.split()[0] for finding in faults(rivals.port_units(Site(root=root)))]
    assert sorted(found) == ["a.service", "b.service", "c.socket", "web-8080.service"]


def test_a_unit_that_names_the_port_can_be_disabled(root: Path) -> None:
    install(root, "site.service", service("Environment=PORT=8080"))
    (found,) = faults(rivals.port_units(Site(root=root)))
    assert found.fix is not None
    found.fix()
    assert systemctl(root, "is-enabled", "site.service") == "disabled"
    assert not faults(rivals.port_units(Site(root=root)))


# The traps of a unit


def test_every_planted_fault_of_the_first_plan_is_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIVISION_RUN_DIR", str(ROOT / "run"))  # not that of a service which runs from this folder
    for program in ("server", "worker"):
        text = FIRST_PLAN.replace("PROGRAM", program) + "\n[Install]\nWantedBy=multi-user.target\n"
        install(root, f"pivision-{program}.service", text)
    site = Site(root=root)
    units = ["pivision-server.service", "pivision-worker.service"]
    assert [finding.seen for finding in rivals.first_plan_units(site)] == [f"{name} is enabled" for name in units]
    found = trapped(site)
    for name in units:
        planted = {
            "unit-kill-mode": ["KillMode=process leaves orphans behind"],
            "unit-start-limit": [
                "StartLimitIntervalSec=0 is in [Service], where it is unknown and ignored",
                "after 5 starts within 10s systemd gives up for good",
            ],
            "unit-restart": ["Restart=on-failure does not"],
            "unit-writable-folders": [
                f"ReadWritePaths={PROJECT}/data/pivision.db names a database file",
                f"{PROJECT}/data is read-only",
                f"{PROJECT}/run is read-only",
            ],
            "unit-stop-timeout": ["TimeoutStopSec=10, but supervisord may take 30 s"],
            "unit-notify": ["Type=notify with NotifyAccess=main"],
        }
        for check, beginnings in planted.items():
            seen = [fault.removeprefix(f"{name}: ") for fault in found[check] if fault.startswith(name)]
            assert len(seen) == len(beginnings), seen
            for fault, beginning in zip(seen, beginnings, strict=True):
                assert fault.startswith(beginning)
        assert set(found) == set(planted)

    for finding in list(rivals.first_plan_units(site)):
        assert finding.fix is not None
        finding.fix()
    assert trapped(Site(root=root)) == {}, "units that do not start harm nobody"


@needs.mark("systemd")
def test_systemd_itself_ignores_the_misplaced_line(root: Path) -> None:
    file = install(root, "pivision-server.service", FIRST_PLAN.replace("PROGRAM", "server"), enable=False)
    command = ["systemd-analyze", f"--root={root}", "--recursive-errors=no", "verify", str(file)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30).stderr
    unknown = re.findall(r"Unknown key (?:name )?'(\w+)' in section", said)
    assert unknown == ["StartLimitIntervalSec"], said


def test_the_committed_unit_has_no_trap(root: Path) -> None:
    install(root, "pivision.service", COMMITTED)
    site = Site(root=root)
    assert trapped(site) == {}
    seen = [line.finding.seen for line in doctor.examine(site, doctor.TRAPS)]
    assert seen == ["pivision.service: in order"] * len(doctor.TRAPS)


@pytest.mark.parametrize(
    ("line", "check", "said"),
    [
        ("KillMode=process", "unit-kill-mode", "KillMode=process"),
        ("KillMode=none", "unit-kill-mode", "KillMode=none"),
        ("StartLimitIntervalSec=0", "unit-start-limit", "is in [Service]"),
        ("[Unit]\nStartLimitIntervalSec=60", "unit-start-limit", "after 5 starts within 60 "),
        ("[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=9", "unit-start-limit", "after 9 starts within 1h "),
        ("[Unit]\nStartLimitIntervalSec=", "unit-start-limit", "after 5 starts within 10s "),
        ("Restart=on-failure", "unit-restart", "Restart=on-failure"),
        ("Restart=", "unit-restart", "Restart=no"),
        ("ExecStart=\nExecStart=/opt/none -m pivision", "unit-paths", "there is no program ExecStart=/opt/none"),
        ("ExecStart=", "unit-paths", "no ExecStart="),
        ("ProtectSystem=no\nWorkingDirectory=/srv/none", "unit-paths", "there is no folder WorkingDirectory=/srv/none"),
        ("User=root", "unit-user", "runs as root"),
        ("User=", "unit-user", "runs as root"),
        ("User=pi", "unit-user", "there is no User=pi"),
        ("ProtectHome=read-only\nBindPaths=\nReadWritePaths=", "unit-writable-folders", "data is read-only"),
        ("ProtectHome=no\nBindPaths=\nReadWritePaths=", "unit-writable-folders", "data is read-only"),
        ("ProtectHome=yes", "unit-writable-folders", f"ProtectHome=yes hides {PROJECT}"),
        (
            "ProtectHome=tmpfs\nBindPaths=",
            "unit-writable-folders",
            f"ProtectHome=tmpfs hides {PROJECT}",
        ),
        (f"ReadOnlyPaths={PROJECT}/data", "unit-writable-folders", ""),
        ("ReadWritePaths=/srv/none", "unit-writable-folders", "226/NAMESPACE"),
        (f"ReadWritePaths=-{PROJECT}/data/x.db", "unit-writable-folders", "names a database file"),
        ("TimeoutStopSec=30", "unit-stop-timeout", "TimeoutStopSec=30, but supervisord may take 30 s"),
        ("TimeoutStopSec=500ms", "unit-stop-timeout", "TimeoutStopSec=500ms"),
        ("Type=notify\nNotifyAccess=main", "unit-notify", "Type=notify with NotifyAccess=main"),
        ("Type=exec\nNotifyAccess=\nWatchdogSec=10", "unit-notify", "Type=exec with NotifyAccess=main"),
        ("[Install]\nWantedBy=", "unit-boot", "no WantedBy="),
    ],
)
def test_each_trap_is_found_in_a_drop_in(root: Path, line: str, check: str, said: str) -> None:
    if line.startswith("ReadOnlyPaths"):  # stronger than a ReadWritePaths= of the same folder only without it
        line += "\nReadWritePaths="
    install(root, "pivision.service", COMMITTED)
    folder = root / "etc/systemd/system/pivision.service.d"
    folder.mkdir()
    (folder / "planted.conf").write_text(line if line.startswith("[") else f"[Service]\n{line}\n")
    found = trapped(Site(root=root))
    assert set(found) == {check}
    assert any(said in fault for fault in found[check])
    assert all(fault.startswith("pivision.service: ") for fault in found[check])


@pytest.mark.parametrize(
    "lines",
    [
        "[Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=0",
        "[Service]\nTimeoutStopSec=infinity",
        "[Service]\nTimeoutStopSec=1min",
        "[Service]\nKillMode=control-group",
        "[Service]\nProtectHome=no\nProtectSystem=full",
        f"[Service]\nReadWritePaths=\nReadWritePaths=-{PROJECT}",
        "[Service]\nUser=1000",
    ],
)
def test_what_is_only_unusual_is_no_trap(root: Path, lines: str) -> None:
    install(root, "pivision.service", COMMITTED)
    folder = root / "etc/systemd/system/pivision.service.d"
    folder.mkdir()
    (folder / "mine.conf").write_text(lines)
    assert trapped(Site(root=root)) == {}


def test_a_file_given_by_its_path_is_examined_with_its_drop_ins(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "other.service"
    file.write_text(COMMITTED)
    (tmp_path / "other.service.d").mkdir()
    (tmp_path / "other.service.d/a.conf").write_text("[Service]\nKillMode=none\n")
    install(root, "pivision.service", COMMITTED.replace("Restart=always", "Restart=no"))
    found = trapped(Site(root=root, unit_path=file))
    assert found == {"unit-kill-mode": [found["unit-kill-mode"][0]]}
    assert found["unit-kill-mode"][0].startswith("other.service: KillMode=none")


# pivision.service as installed


@pytest.fixture
def site(root: Path) -> Site:
    """The checkout copied to where the unit wants it."""
    project = root / PROJECT[1:]
    for folder in ("systemd", "conf"):
        shutil.copytree(ROOT / folder, project / folder)
    return Site(project=project, root=root)


def test_a_unit_that_is_missing_is_a_warning(site: Site) -> None:
    (found,) = unit.unit(site)
    assert (found.state, found.remedy) == ("warning", "sudo make install")


def test_the_unit_of_this_checkout_is_in_order(site: Site) -> None:
    install(site.root, "pivision.service", COMMITTED.replace(PROJECT, str(site.project)))
    (found,) = unit.unit(site)
    assert found.state == "ok"


def test_the_unit_is_written_for_any_user_and_folder(site: Site) -> None:
    text = COMMITTED.replace("djg", "djgpi").replace("/home/djgpi/Projects/PiVision", str(site.project))
    install(site.root, "pivision.service", text)
    assert unit.expected(Site(site.project, site.root)) == text
    assert "User=djgpi\n" in text


@needs.mark("systemd")
def test_a_unit_that_is_not_enabled_is_found_and_mended(site: Site) -> None:
    install(site.root, "pivision.service", COMMITTED.replace(PROJECT, str(site.project)), enable=False)
    (found,) = unit.unit(site)
    assert (found.state, found.remedy) == ("failure", "sudo systemctl enable pivision.service")
    assert found.fix is not None
    found.fix()
    (found,) = unit.unit(Site(site.project, site.root))
    assert found.state == "ok"


def test_an_outdated_unit_is_a_warning(site: Site) -> None:
    install(site.root, "pivision.service", COMMITTED.replace(PROJECT, str(site.project)) + "# edited\n")
    (found,) = unit.unit(site)
    assert (found.state, found.remedy) == ("warning", "sudo make install")


# Reading unit files


@pytest.mark.parametrize(
    "text", ["0", "90", "1min 30s", "500ms", "2h", "1h30min", "1.5s", "1 day", "5sec", "3 minutes"]
)
@needs.mark("systemd")
def test_time_spans_mean_what_systemd_says_they_mean(text: str) -> None:
    said = subprocess.run(["systemd-analyze", "timespan", text], capture_output=True, text=True, check=True, timeout=30)
    microseconds = re.search(r"μs: (\d+)", said.stdout)
    assert microseconds
    assert unit_file.seconds(text) == pytest.approx(int(microseconds[1]) / 1e6)


@pytest.mark.parametrize("text", ["", "soon", "5 apples", "1min later", "-5"])
def test_what_is_no_time_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no time span"):
        unit_file.seconds(text)


def test_files_are_read_as_systemd_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "a.service"
    file.write_text(
        "# Comment=1\n[Service]\n; Comment=2\nEnvironment=A=1\nEnvironment = B=2 \nExecStart=/bin/echo \\\n"
        "# within\n  one \\\n  two=2\nKey\n[X-Own]\nKillMode=none\n"
    )
    (tmp_path / "a.service.d").mkdir()
    (tmp_path / "a.service.d/2.conf").write_text("[Service]\nEnvironment=\nEnvironment=C=3\n")
    (tmp_path / "a.service.d/1.conf").write_text("[Service]\nEnvironment=D=4\nKillMode=mixed\n")
    (tmp_path / "a.service.d/3.txt").write_text("[Service]\nEnvironment=E=5\n")
    read = unit_file.read(file)
    assert read.values("Service", "Environment") == ["C=3"]
    assert read.value("Service", "ExecStart").split() == ["/bin/echo", "one", "two=2"]
    assert read.value("Service", "KillMode") == "mixed"
    assert read.value("Service", "Comment", "none") == "none"


def test_files_are_found_where_systemd_finds_them(tmp_path: Path) -> None:
    def write(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    write("usr/lib/systemd/system/a-b.service", "[Service]\nUser=usr\n")
    write("usr/lib/systemd/system/a-b.service.d/5.conf", "[Service]\nGroup=usr\n")
    write("etc/systemd/system/service.d/1.conf", "[Service]\nNice=1\n")
    write("etc/systemd/system/a-.service.d/2.conf", "[Service]\nNice=2\n")
    found = unit_file.find(tmp_path, "a-b.service")
    assert found is not None
    assert [found.value("Service", key) for key in ("User", "Group", "Nice")] == ["usr", "usr", "2"]

    write("etc/systemd/system/a-b.service", "[Service]\nUser=etc\n")
    write("etc/systemd/system/a-b.service.d/5.conf", "[Service]\nGroup=etc\n")
    found = unit_file.find(tmp_path, "a-b.service")
    assert found is not None
    assert [found.value("Service", key) for key in ("User", "Group", "Nice")] == ["etc", "etc", "2"]

    (tmp_path / "etc/systemd/system/masked.service").symlink_to("/dev/null")
    write("srv/linked.service", "[Service]\nUser=linked\n")
    (tmp_path / "etc/systemd/system/linked.service").symlink_to("/srv/linked.service")
    masked, linked = unit_file.find(tmp_path, "masked.service"), unit_file.find(tmp_path, "linked.service")
    assert masked is not None
    assert masked.value("Service", "ExecStart") == ""
    assert linked is not None
    assert linked.value("Service", "User") == "linked"
    assert unit_file.find(tmp_path, "none.service") is None
