"""The disk of an emulated Raspberry Pi: Debian for ARM64 with PiVision's checkout where its owner has it.

What takes minutes is kept in ~/.cache/pivision and made anew when the recipe or requirements.txt change: Debian, its
kernel, the wheels and the virtual environment. The checkout comes on top of it in each run.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pivision.config import ROOT
from tests.machine import root

PROJECT = "home/djg/Projects/PiVision"
SIZE = "4G"  # a power of two, as an SD card must have for QEMU

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pivision" / "pi"
_TOOLS = {
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-img": "qemu-utils",
    "qemu-aarch64-static": "qemu-user-static",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "ssh": "openssh-client",
}
_PACKAGES = (
    "systemd-sysv,dbus,udev,kmod,initramfs-tools,linux-image-arm64,iproute2,procps,sudo,openssh-server,"
    "git,make,python3,python3-venv,curl"
)
_PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")

# The initrd holds what finds the disk and nothing else: made of all modules, under emulation, it takes ten minutes.
_INITRD = (
    "mkdir -p $1/etc/initramfs-tools/conf.d $1/usr/share/initramfs-tools/modules.d",
    "echo MODULES=list >$1/etc/initramfs-tools/conf.d/pivision",
    "printf '%s\\n' ext4 crc32c_generic virtio_pci virtio_blk mmc_block sdhci_iproc bcm2835"
    " >$1/usr/share/initramfs-tools/modules.d/pivision",
    "echo 'LABEL=pivision / ext4 noatime,errors=remount-ro 0 1' >$1/etc/fstab",
)
# As Raspberry Pi OS has it: a user who may sudo without a password. The address is the one to which QEMU forwards.
_SETTLE = (
    "echo pivision >$1/etc/hostname",
    "echo 127.0.0.1 localhost pivision >$1/etc/hosts",
    "printf '[Match]\\nType=ether\\n[Network]\\nAddress=10.0.2.15/24\\n' >$1/etc/systemd/network/80-ether.network",
    "chroot $1 systemctl --quiet enable systemd-networkd",
    "chroot $1 useradd --create-home --shell /bin/bash --groups video,sudo djg",
    "echo 'djg ALL=(ALL) NOPASSWD: ALL' >$1/etc/sudoers.d/djg",
    f"chroot $1 runuser -u djg -- mkdir -p /{PROJECT}",
)
_INSTALL = (
    f"chroot $1 runuser -u djg -- tar --extract --directory=/{PROJECT} <$CHECKOUT",
    "cp -r $WHEELS $1/wheels",
    f"chroot $1 runuser -u djg -- env --chdir=/{PROJECT} python3 -m pivision venv --wheels /wheels",
    f"cd $1/{PROJECT} && find . -mindepth 1 -maxdepth 1 ! -name '.venv*' -exec rm -r {{}} +",
)


class Image(NamedTuple):
    """Files that QEMU boots from. `disk` is raw and stays as it is."""

    disk: Path
    kernel: Path
    initrd: Path
    devicetree: Path
    ssh_key: Path


@contextlib.contextmanager
def image() -> Iterator[Image]:
    """An image with the present checkout, in a folder of its own that goes afterwards. Skips where it cannot be."""
    _require_tools()
    _CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=_CACHE) as name, (_CACHE / "lock").open("w") as lock:
        folder = Path(name)
        fcntl.flock(lock, fcntl.LOCK_EX)  # nobody else makes Debian anew meanwhile
        made = _assemble(folder, _debian(folder))
        fcntl.flock(lock, fcntl.LOCK_UN)
        yield made


def _require_tools() -> None:
    if missing := sorted(package for tool, package in _TOOLS.items() if not shutil.which(tool)):
        pytest.skip(f"an emulated Pi needs: sudo apt install {' '.join(missing)}")
    if os.geteuid():
        pytest.skip("an emulated Pi needs root, to make a root folder and to mount: sudo make test-pi")


def _assemble(folder: Path, debian: Path) -> Image:
    ssh_key, layer, disk = folder / "ssh_key", folder / "layer", folder / "disk.raw"
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ssh_key)
    _copy_checkout(debian, layer, ssh_key.with_suffix(".pub"))
    with _merged(debian, layer, folder) as merged:
        _run("mke2fs", "-q", "-t", "ext4", "-L", "pivision", "-d", merged, disk, SIZE)
    boots = ("boot/vmlinuz-*", "boot/initrd.img-*", "usr/lib/linux-image-*/broadcom/bcm2837-rpi-3-b.dtb")
    kernel, initrd, devicetree = (Path(shutil.copy(found, folder)) for name in boots for found in debian.glob(name))
    return Image(disk, kernel, initrd, devicetree, ssh_key)


def _debian(folder: Path) -> Path:
    """Debian with the virtual environment, as a folder. Made once, in five minutes or so."""
    recipe = "\n".join([_PACKAGES, *_PLATFORMS, *_INITRD, *_SETTLE, *_INSTALL])
    requirements = (ROOT / "requirements.txt").read_text()
    debian = _CACHE / f"debian-{hashlib.sha256((recipe + requirements).encode()).hexdigest()[:12]}"
    if not debian.exists():
        _let_arm64_run()
        new = _CACHE / "new"
        for older in (new, *_CACHE.glob("debian-*")):
            _run("rm", "-rf", "--one-file-system", older)
        _bootstrap(new, folder)
        new.rename(debian)
    return debian


def _bootstrap(new: Path, folder: Path) -> None:
    checkout = folder / "checkout.tar"
    checkout.write_bytes(root.project())
    _run(
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        "--architectures=arm64",
        f"--include={_PACKAGES}",
        *(f"--essential-hook={line}" for line in _INITRD),
        *(f"--customize-hook={line}" for line in (*_SETTLE, *_INSTALL)),
        "bookworm",
        new,
        CHECKOUT=str(checkout),
        WHEELS=str(_wheels()),
    )


def _wheels() -> Path:
    """PiVision's wheels for ARM64, downloaded here: the chroot then needs no network and no certificates.

    The Makefile takes OpenCV's build without windows where the other one does not load.
    """
    wheels = _CACHE / "wheels"
    requirements = (ROOT / "requirements.txt").read_text()
    opencv = next(line.split()[0] for line in requirements.splitlines() if line.startswith("opencv-python=="))
    _run(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--dest", wheels),
        *("--only-binary=:all:", "--python-version=3.11", "--implementation=cp"),
        *(f"--platform={platform}" for platform in _PLATFORMS),
        *("-r", ROOT / "requirements.txt", opencv.replace("python", "python-headless")),
    )
    return wheels


def _let_arm64_run() -> None:
    """Have the kernel start ARM64 programs with qemu-user, as Debian's systemd does at boot."""
    binfmt = Path("/proc/sys/fs/binfmt_misc")
    if not (binfmt / "register").exists():
        _run("mount", "-t", "binfmt_misc", "binfmt_misc", binfmt)
    if not (binfmt / "qemu-aarch64").exists():
        (binfmt / "register").write_bytes(Path("/usr/lib/binfmt.d/qemu-aarch64.conf").read_bytes())


def _copy_checkout(debian: Path, layer: Path, public_key: Path) -> None:
    """Lay the checkout, and the key that lets the tests in, over djg's home in `debian`."""
    djg = (debian / "home/djg").stat()
    project = layer / PROJECT
    project.mkdir(parents=True)
    subprocess.run(["tar", "--extract", f"--directory={project}"], input=root.project(), check=True)
    keys = layer / "home/djg/.ssh/authorized_keys"
    keys.parent.mkdir(mode=0o700)
    shutil.copy(public_key, keys)
    _run("chown", "-R", f"{djg.st_uid}:{djg.st_gid}", layer / "home/djg")


@contextlib.contextmanager
def _merged(debian: Path, layer: Path, folder: Path) -> Iterator[Path]:
    """`layer` over `debian`, as one folder, with neither changed."""
    merged, work = folder / "merged", folder / "work"
    merged.mkdir()
    work.mkdir()
    _run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={debian},upperdir={layer},workdir={work}", merged)
    try:
        yield merged
    finally:
        _run("umount", merged)


def _run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout
