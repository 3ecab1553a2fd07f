"""Wakes a waiting process at once. A ring may be lost: whoever waits also looks by itself from time to time.

Unix datagram sockets below the run folder: no port, no broker, and a ring to nobody costs one failed system call.
"""

import contextlib
import select
import socket
from pathlib import Path

MESSAGE_LIMIT_BYTES = 64


class Doorbell:
    """A bell at `path`, heard by the process that made it."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)  # left by a predecessor that was killed
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        self._readable = select.poll()
        self._readable.register(self._socket, select.POLLIN)

    def wait(self, timeout_seconds: float) -> list[bytes]:
        """Wait for a ring, at most `timeout_seconds`; return the messages of all rings that have come."""
        self._readable.poll(timeout_seconds * 1000)
        messages = []
        with contextlib.suppress(BlockingIOError):
            while True:
                messages.append(self._socket.recv(MESSAGE_LIMIT_BYTES))
        return messages

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


def ring(path: Path, message: bytes = b"") -> None:
    """Ring the bell at `path`. Nobody there, or more rings than they can hear: then they look by themselves."""
    with contextlib.suppress(OSError):  # of the socket itself, too: what was stored is stored, rung for or not
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            sender.sendto(message, str(path))


def worker_bell(run_dir: Path, worker: int) -> Path:
    """The bell that says: there may be a task in the queue."""
    return run_dir / f"worker-{worker}.bell"


def server_bell(run_dir: Path) -> Path:
    """The bell that says: the task whose id is the message has made a step."""
    return run_dir / "server.bell"
