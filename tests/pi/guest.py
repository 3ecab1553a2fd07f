"""An emulated Raspberry Pi, or a plain ARM64 machine, that runs PiVision: switched on, used, and its plug pulled.

QEMU emulates every instruction, so that it is several times slower than a Pi.
"""

import contextlib
import http.client
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.box import Client, eventually, free_port
from tests.pi.image import PROJECT, Image

FIRST_200_SECONDS = 600.0
SHUTDOWN_SECONDS = 180.0


class Board(NamedTuple):
    """A machine that QEMU emulates: options, interface of its disk, network card, and how often its plug is pulled."""

    name: str
    options: tuple[str, ...]
    disk: str
    disk_has_cache: bool
    network: str
    pulls: int


VIRT = Board(
    "virt",
    ("-machine", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "1G"),
    disk="virtio",
    disk_has_cache=True,
    network="virtio-net-pci,romfile=",
    pulls=10,
)
"""No real board: a processor as in a Raspberry Pi 4, 1 GB of memory, and a disk with a write cache."""

RASPI3B = Board("raspi3b", ("-machine", "raspi3b"), disk="sd", disk_has_cache=False, network="usb-net", pulls=3)
"""A Raspberry Pi 3B: 4 cores, 1 GB of memory, an SD card, the network on USB, and no clock that runs without power."""


class Guest(Client):
    """One emulated machine with a disk that lasts from boot to boot."""

    def __init__(self, board: Board, image: Image) -> None:
        self.board = board
        self.token = ""
        self._image = image
        self._folder = Path(tempfile.mkdtemp(prefix="guest-", dir=image.disk.parent))
        self._disk = image.disk
        self._boots = 0
        self._http_port, self._ssh_port = free_port(), free_port()
        self._qemu: subprocess.Popen[bytes] | None = None
        self._qemu_log = (self._folder / "qemu.log").open("ab")
        self._switched_on = 0.0

    def boot(self) -> float:
        """Switch it on and wait until / answers 200; the seconds that it took."""
        self.switch_on()
        return self.serves()

    def switch_on(self) -> None:
        """Start the emulation."""
        self._boots += 1
        self._disk = self._disk_of_this_boot()
        forwarded = f"hostfwd=tcp:127.0.0.1:{self._http_port}-:8080,hostfwd=tcp:127.0.0.1:{self._ssh_port}-:22"
        self._switched_on = time.monotonic()
        self._qemu = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig=KILL"),  # it ends with the tests, however they end
                *("qemu-system-aarch64", *self.board.options, "-accel", "tcg,thread=multi"),
                *("-no-reboot", "-display", "none", "-monitor", "none", "-serial", f"file:{self._console}"),
                *("-kernel", str(self._image.kernel), "-initrd", str(self._image.initrd)),
                *(("-dtb", str(self._image.devicetree)) if self.board is RASPI3B else ()),
                *("-append", "root=LABEL=pivision ro rootwait fsck.repair=yes console=ttyAMA0"),
                *("-drive", f"if={self.board.disk},format={_format(self._disk)},cache=writeback,file={self._disk}"),
                *("-netdev", f"user,id=net,restrict=on,{forwarded}", "-device", f"{self.board.network},netdev=net"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._qemu_log,
            stderr=self._qemu_log,
        )

    def serves(self) -> float:
        """Wait until / answers 200; the seconds since it was switched on."""
        eventually(self._answers, "the guest answers 200", FIRST_200_SECONDS)
        return time.monotonic() - self._switched_on

    def pull_plug(self) -> None:
        """Off, at once."""
        assert self._qemu is not None
        self._qemu.kill()
        self._qemu.wait(timeout=30)
        self._qemu = None

    def reboot(self) -> float:
        """Restart it in order, from inside, and wait until / answers 200; the seconds that it took.

        QEMU ends instead of restarting, and is started again: its network card on USB is dead after a restart.
        """
        assert self._qemu is not None
        asked = time.monotonic()
        self.types("sudo reboot", check=False)  # the connection breaks
        self._qemu.wait(timeout=SHUTDOWN_SECONDS)
        self.boot()
        return time.monotonic() - asked

    def lets_in(self) -> bool:
        """Whether one can log in."""
        return self.types("true", check=False).returncode == 0

    def types(
        self, line: str, *, check: bool = True, timeout: float = 120, stdin: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        """What the owner types, logged in by ssh and in the project's folder. What it says is in `stdout`."""
        done = subprocess.run(
            [
                *("ssh", "-i", str(self._image.ssh_key), "-p", str(self._ssh_port), "-o", "BatchMode=yes"),
                *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"),
                *("-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=10"),
                *("djg@127.0.0.1", f"cd /{PROJECT}; {line}"),
            ],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0 or not check, f"{line} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._http_port, timeout=timeout)

    def close(self) -> None:
        """Off, if it is not, and for good."""
        if self._qemu is not None:
            self.pull_plug()
        self._qemu_log.close()

    def logs(self) -> str:
        """Everything, for the message of a test that failed."""
        said = self._console.read_text(errors="replace")[-4000:] if self._console.exists() else ""
        if self._qemu is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                said += self.types(
                    "sudo journalctl --no-pager --lines=150; tail --lines=40 logs/*.log", check=False
                ).stdout
        return said

    @property
    def _console(self) -> Path:
        """What this boot has written to the serial line."""
        return self._folder / f"console-{self._boots}.log"

    def _disk_of_this_boot(self) -> Path:
        """What makes the death of QEMU a pulled plug: what the guest has not brought to its disk is lost.

        Its page cache is gone in any case. This side's kernel keeps what QEMU has written to a file, though, so that
        such a file is an SD card without a cache: a write that has ended lasts. That is what QEMU's SD card is; it has
        no command to flush it, either.
        A disk with a cache gets another layer at each boot. In a fresh layer, QEMU keeps in its own memory where it has
        put what the guest writes for the first time, until the guest flushes the disk: what has been written there and
        not flushed is lost. Neither is a disk that lies about a flush, or that is damaged by losing its power.
        """
        if self.board.disk_has_cache:
            layer = self._folder / f"disk-{self._boots}.qcow2"
            below = ("-b", str(self._disk), "-F", _format(self._disk))
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *below, str(layer)], check=True, timeout=60)
            return layer
        card = self._folder / "card.raw"
        if not card.exists():
            subprocess.run(["cp", "--sparse=always", str(self._disk), str(card)], check=True, timeout=300)
        return card

    def _answers(self) -> bool:
        assert self._qemu is not None
        assert self._qemu.poll() is None, (self._folder / "qemu.log").read_text()
        return self.get("/", timeout=3).status == http.client.OK


@contextlib.contextmanager
def guest(board: Board, image: Image) -> Iterator[Guest]:
    """A guest that is off, and that is off again afterwards."""
    machine = Guest(board, image)
    try:
        yield machine
    except BaseException:
        print(machine.logs())
        raise
    finally:
        machine.close()


def _format(disk: Path) -> str:
    return disk.suffix[1:]
