"""The machine below: its log, clock, control groups, power and temperature."""

import datetime
import re
from collections.abc import Iterator
from pathlib import Path

from pivision import landlock, seccomp
from pivision.doctor import unit_file
from pivision.doctor.finding import Findings, failure, ok, warning
from pivision.doctor.site import Site, output

_FIRST_YEAR = 2024  # before it, the clock has not been set since power came
_HOT_CELSIUS = 80.0  # where a Raspberry Pi slows itself down
_ELF_CLASS_32 = 1

# https://www.raspberrypi.com/documentation/computers/os.html, get_throttled: bit -> what it means
_NOW = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
_SINCE_BOOT = {16: "under-voltage", 17: "frequency capped", 18: "throttled", 19: "soft temperature limit"}

_JOURNAL_REMEDY = (
    "sudo mkdir -p /etc/systemd/journald.conf.d && "
    r"printf '[Journal]\nStorage=persistent\nSystemMaxUse=64M\n' | "
    "sudo tee /etc/systemd/journald.conf.d/90-persistent.conf && sudo systemctl restart systemd-journald"
)


def journal(site: Site) -> Findings:
    """Whether the log of the system is still there after a reboot, to tell what ended the last run."""
    storage = unit_file.config(site.root, "journald.conf").value("Journal", "Storage", "auto")
    if storage == "persistent" or (storage == "auto" and (site.root / "var/log/journal").is_dir()):
        yield ok(f"persistent (Storage={storage})")
    else:
        yield warning(f"volatile (Storage={storage}): a reboot loses the log of what led to it", _JOURNAL_REMEDY)


def clock(site: Site) -> Findings:
    """Whether the clock is set. PiVision decides nothing by it; people read its times."""
    now = datetime.datetime.now(datetime.UTC)
    synchronised = output("timedatectl", "show", "-p", "NTPSynchronized", "--value") if site.is_booted else ""
    if now.year < _FIRST_YEAR:
        yield warning(f"not set: {now:%Y-%m-%d}", "sudo timedatectl set-ntp true")
    elif synchronised == "no":
        yield warning(f"{now:%Y-%m-%d %H:%M} UTC, not synchronised", "sudo timedatectl set-ntp true")
    else:
        yield ok(f"{now:%Y-%m-%d %H:%M} UTC{', synchronised' if synchronised == 'yes' else ''}")


def memory_cgroup(site: Site) -> Findings:
    """Whether systemd can limit and account memory; Raspberry Pi OS leaves that off."""
    file = site.root / "sys/fs/cgroup/cgroup.controllers"
    if not file.exists():
        yield warning(
            "no unified control groups: systemd limits no memory here", "boot with systemd.unified_cgroup_hierarchy=1"
        )
    elif "memory" in file.read_text(encoding="ascii").split():
        yield ok("on")
    else:
        pi = [file for file in ("boot/firmware/cmdline.txt", "boot/cmdline.txt") if (site.root / file).exists()]
        edit = (
            f"sudo sed -i '1s/$/ cgroup_enable=memory/' /{pi[0]}" if pi else "boot the kernel with cgroup_enable=memory"
        )
        yield warning("off: systemd cannot limit memory", f"{edit}; sudo reboot")


def power(site: Site) -> Findings:
    """Whether a Raspberry Pi gets enough voltage and runs at full speed."""
    remedy = "use the power supply made for this Pi, with its own short cable"
    answer = output("vcgencmd", "get_throttled") if site.root == Path("/") else ""
    if match := re.fullmatch(r"throttled=(0x[0-9a-f]+)", answer.strip()):
        now, before = throttling(int(match[1], 16))
        if now:
            yield failure(f"now: {', '.join(now)}", remedy)
        elif before:
            yield warning(f"since boot: {', '.join(before)}", remedy)
        else:
            yield ok("enough, and at full speed since boot")
        return
    alarms = list(_voltage_alarms(site.root))
    if any(alarms):
        yield failure("now: under-voltage", remedy)
    else:
        yield ok("no under-voltage" if alarms else "this machine does not tell")


def throttling(bits: int) -> tuple[list[str], list[str]]:
    """What `vcgencmd get_throttled` says: what holds now, and what was since boot."""
    return [text for bit, text in _NOW.items() if bits >> bit & 1], [
        text for bit, text in _SINCE_BOOT.items() if bits >> bit & 1
    ]


def temperature(site: Site) -> Findings:
    """How hot the processor is."""
    zones = (site.root / "sys/class/thermal").glob("thermal_zone*/temp")
    hottest = max((int(zone.read_text(encoding="ascii")) / 1000 for zone in zones), default=None)
    if hottest is None:
        yield ok("this machine does not tell")
    elif hottest >= _HOT_CELSIUS:
        yield warning(f"{hottest:.0f} °C: a Pi slows itself down", "give it air, a heat sink or a fan")
    else:
        yield ok(f"{hottest:.0f} °C")


def userland(site: Site) -> Findings:
    """Whether the system is a 64-bit one: pip has no OpenCV for 32-bit ARM."""
    with (site.root / "bin/sh").open("rb") as file:
        header = file.read(5)
    if header[:4] == b"\x7fELF" and header[4] == _ELF_CLASS_32:
        yield warning("32 bit: pip has no OpenCV here, apt's is old", "write the 64-bit Raspberry Pi OS to the SD card")
    else:
        yield ok("64 bit")


def worker_sandbox(site: Site) -> Findings:
    """Whether the kernel lets workers give up what they do not need before they decode what strangers send."""
    if site.root != Path("/"):
        return  # of a system that does not run, nobody knows the kernel
    version = landlock.abi()
    missing = [
        *(
            ["Landlock" if not version else f"Landlock since Linux 5.19 (ABI {version})"]
            if version < landlock.LEAST_ABI
            else []
        ),
        *([] if seccomp.is_supported() else ["seccomp filters"]),
    ]
    if missing:
        remedy = "a kernel with CONFIG_SECURITY_LANDLOCK, and landlock in the list that lsm= of its command line gives"
        yield warning(f"no {' and no '.join(missing)}: a hostile image could do more; docs/sandbox.md", remedy)
    else:
        yield ok(f"Landlock {version} and seccomp")


def _voltage_alarms(root: Path) -> Iterator[bool]:
    for chip in (root / "sys/class/hwmon").glob("*/name"):
        if chip.read_text(encoding="ascii").strip() == "rpi_volt":
            yield (chip.parent / "in0_lcrit_alarm").read_text(encoding="ascii").strip() == "1"
