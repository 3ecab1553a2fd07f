"""What the doctor finds in the machine's own files, written below a folder as the kernel and systemd write them."""

from pathlib import Path

import pytest

from pivision import landlock, seccomp
from pivision.doctor import machine
from pivision.doctor.finding import Finding, Findings
from pivision.doctor.site import Site


def only(findings: Findings) -> Finding:
    (found,) = findings
    return found


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.parametrize(
    ("files", "has_folder", "state"),
    [
        ({}, False, "warning"),
        ({}, True, "ok"),
        ({"etc/systemd/journald.conf": "[Journal]\n#Storage=auto\n"}, True, "ok"),
        ({"etc/systemd/journald.conf": "[Journal]\nStorage=volatile\n"}, True, "warning"),
        ({"etc/systemd/journald.conf": "[Journal]\nStorage=none\n"}, True, "warning"),
        ({"etc/systemd/journald.conf": "[Journal]\nStorage=persistent\n"}, False, "ok"),
        (
            {"usr/lib/systemd/journald.conf.d/40-rpi-volatile-storage.conf": "[Journal]\nStorage=volatile\n"},
            True,
            "warning",
        ),
        (
            {
                "usr/lib/systemd/journald.conf.d/40-rpi-volatile-storage.conf": "[Journal]\nStorage=volatile\n",
                "etc/systemd/journald.conf.d/90-persistent.conf": "[Journal]\nStorage=persistent\n",
            },
            True,
            "ok",
        ),
    ],
)
def test_the_journal(tmp_path: Path, files: dict[str, str], has_folder: bool, state: str) -> None:
    for path, text in files.items():
        write(tmp_path, path, text)
    if has_folder:
        (tmp_path / "var/log/journal").mkdir(parents=True)
    assert only(machine.journal(Site(root=tmp_path))).state == state


def test_the_drop_in_that_mends_the_journal_is_the_one_that_counts(tmp_path: Path) -> None:
    write(tmp_path, "usr/lib/systemd/journald.conf.d/40-rpi-volatile-storage.conf", "[Journal]\nStorage=volatile\n")
    remedy = only(machine.journal(Site(root=tmp_path))).remedy
    assert "sudo tee /etc/systemd/journald.conf.d/90-persistent.conf " in remedy
    write(
        tmp_path, "etc/systemd/journald.conf.d/90-persistent.conf", "[Journal]\nStorage=persistent\nSystemMaxUse=64M\n"
    )
    assert only(machine.journal(Site(root=tmp_path))).state == "ok"


@pytest.mark.parametrize(
    ("controllers", "state", "said"),
    [
        ("cpuset cpu io memory pids\n", "ok", "on"),
        ("cpuset cpu io pids\n", "warning", "off"),
        ("cpuset memory_recursiveprot\n", "warning", "off"),
        (None, "warning", "no unified"),
    ],
)
def test_the_memory_cgroup(tmp_path: Path, controllers: str | None, state: str, said: str) -> None:
    if controllers is not None:
        write(tmp_path, "sys/fs/cgroup/cgroup.controllers", controllers)
    found = only(machine.memory_cgroup(Site(root=tmp_path)))
    assert found.state == state
    assert found.seen.startswith(said)


@pytest.mark.parametrize(
    ("present", "named"),
    [(["boot/firmware/cmdline.txt"], "/boot/firmware/cmdline.txt"), (["boot/cmdline.txt"], "/boot/cmdline.txt")],
)
def test_the_memory_cgroup_is_turned_on_where_this_system_has_its_command_line(
    tmp_path: Path, present: list[str], named: str
) -> None:
    write(tmp_path, "sys/fs/cgroup/cgroup.controllers", "cpu pids\n")
    for path in present:
        write(tmp_path, path, "console=tty1\n")
    assert f"cgroup_enable=memory/' {named};" in only(machine.memory_cgroup(Site(root=tmp_path))).remedy


@pytest.mark.parametrize(
    ("bits", "now", "since_boot"),
    [
        (0x0, [], []),
        (0x50000, [], ["under-voltage", "throttled"]),
        (0x50005, ["under-voltage", "throttled"], ["under-voltage", "throttled"]),
        (0xE0008, ["soft temperature limit"], ["frequency capped", "throttled", "soft temperature limit"]),
        (0x20002, ["frequency capped"], ["frequency capped"]),
    ],
)
def test_what_the_firmware_says_of_the_power(bits: int, now: list[str], since_boot: list[str]) -> None:
    assert machine.throttling(bits) == (now, since_boot)


@pytest.mark.parametrize(("alarm", "state"), [("0", "ok"), ("1", "failure"), (None, "ok")])
def test_the_kernels_alarm_of_under_voltage(tmp_path: Path, alarm: str | None, state: str) -> None:
    write(tmp_path, "sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
    if alarm is not None:
        write(tmp_path, "sys/class/hwmon/hwmon1/name", "rpi_volt\n")
        write(tmp_path, "sys/class/hwmon/hwmon1/in0_lcrit_alarm", f"{alarm}\n")
    found = only(machine.power(Site(root=tmp_path)))
    assert found.state == state
    assert ("does not tell" in found.seen) == (alarm is None)


@pytest.mark.parametrize(
    ("zones", "state", "said"),
    [
        ([], "ok", "does not tell"),
        ([48312], "ok", "48 °C"),
        ([48312, 80000], "warning", "80 °C"),
        ([79900], "ok", "80 °C"),
    ],
)
def test_the_temperature(tmp_path: Path, zones: list[int], state: str, said: str) -> None:
    for number, milli_celsius in enumerate(zones):
        write(tmp_path, f"sys/class/thermal/thermal_zone{number}/temp", f"{milli_celsius}\n")
    found = only(machine.temperature(Site(root=tmp_path)))
    assert found.state == state
    assert said in found.seen


@pytest.mark.parametrize(("elf_class", "state"), [(1, "warning"), (2, "ok")])
def test_a_32_bit_system(tmp_path: Path, elf_class: int, state: str) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sh").write_bytes(b"\x7fELF" + bytes([elf_class]))
    assert only(machine.userland(Site(root=tmp_path))).state == state


def test_this_machine_can_be_examined() -> None:
    for check in (machine.journal, machine.clock, machine.memory_cgroup, machine.power, machine.temperature):
        assert only(check(Site())).seen
    assert only(machine.userland(Site())).seen == "64 bit"


def test_the_workers_sandbox_is_as_this_kernel_has_it() -> None:
    found = only(machine.worker_sandbox(Site()))
    assert (found.state == "ok") == (landlock.abi() >= landlock.LEAST_ABI and seccomp.is_supported())


@pytest.mark.parametrize(
    ("abi", "has_seccomp", "says"), [(0, True, "no Landlock:"), (1, True, "5.19"), (7, False, "seccomp")]
)
def test_what_a_kernel_lacks_is_said(monkeypatch: pytest.MonkeyPatch, abi: int, has_seccomp: bool, says: str) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: abi)
    monkeypatch.setattr(seccomp, "is_supported", lambda: has_seccomp)
    found = only(machine.worker_sandbox(Site()))
    assert found.state == "warning"
    assert says in found.seen
    assert found.remedy


def test_the_kernel_of_a_system_that_does_not_run_is_not_judged(tmp_path: Path) -> None:
    assert list(machine.worker_sandbox(Site(root=tmp_path))) == []
