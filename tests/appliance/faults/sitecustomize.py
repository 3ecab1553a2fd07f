"""Real faults for real workers: Python imports this file at its start from wherever PYTHONPATH says.

A picture that carries b"PIVISION-FAULT:NAME:" makes the worker that decodes it fail as bad native code would. Only
workers are touched; server and health never import OpenCV.
"""

import ctypes
import errno
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_MARKER = re.compile(rb"PIVISION-FAULT:([A-Z]+):([0-9.]*);")


def _crash(_: float) -> None:
    ctypes.string_at(0)


def _hang(_: float) -> None:
    in_c_with_the_gil = ctypes.PyDLL(None)
    while True:
        in_c_with_the_gil.pause()


def _intrude(port: float) -> None:
    """Try what code that has taken over a worker would try, and tell in the error how each attempt ended."""
    data, run = (os.environ[f"PIVISION_{name}_DIR"] for name in ("DATA", "RUN"))
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getppid()

    def connect(family: int, address: Any) -> None:
        with socket.socket(family, socket.SOCK_STREAM) as stream:
            stream.connect(address)

    def call(name: str, *arguments: Any) -> None:
        if getattr(libc, name)(*arguments) < 0:
            raise OSError(ctypes.get_errno(), name)

    def read(file: str) -> None:
        with open(file, "rb") as opened:
            opened.read(10)

    def write(file: str) -> None:
        with open(file, "ab") as opened:
            opened.write(b"")

    token = f"{data}/secrets/tokens/test"
    attempts: dict[str, Callable[[], object]] = {
        "read a token": lambda: read(token),
        "list the secrets": lambda: list(Path(f"{data}/secrets").iterdir()),
        "list their copy": lambda: list(Path(f"{run}/secrets").iterdir()),
        "write a token": lambda: write(token),
        "make a token": lambda: write(f"{data}/secrets/tokens/mine"),
        "make a node": lambda: os.mknod(f"{data}/secrets/tokens/mine"),
        "move into the secrets": lambda: Path(f"{run}/workers/abilities.json").rename(f"{data}/secrets/tokens/mine"),
        "link out of the secrets": lambda: os.link(token, f"{data}/images/stolen"),
        "remove a token": lambda: Path(token).unlink(),
        "remove the database": lambda: Path(f"{data}/pivision.db").unlink(),
        "remove supervisord's socket": lambda: Path(f"{run}/supervisor.sock").unlink(),
        "write a log": lambda: write(os.environ["PIVISION_LOG_DIR"] + "/server.log"),
        "write the code": lambda: write(os.environ["PIVISION_ROOT"] + "/pivision/worker.py"),
        "write elsewhere": lambda: write("/tmp/pivision-intruder"),
        "read the users": lambda: read("/etc/passwd"),
        "read supervisord's environment": lambda: read(f"/proc/{parent}/environ"),
        "read its own memory by name": lambda: write("/proc/self/mem"),
        "truncate a token": lambda: os.truncate(token, 64),
        "open a token to all": lambda: Path(token).chmod(0o666),
        "connect to the server": lambda: connect(socket.AF_INET, ("127.0.0.1", int(port))),
        "connect by IPv6": lambda: connect(socket.AF_INET6, ("::1", int(port))),
        "connect to supervisord": lambda: connect(socket.AF_UNIX, f"{run}/supervisor.sock"),
        "send a datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
        "open a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
        "end supervisord": lambda: os.kill(parent, signal.SIGTERM),
        "end all": lambda: os.kill(-1, 0),
        "end by a descriptor": lambda: signal.pidfd_send_signal(os.pidfd_open(parent), 0),
        "trace supervisord": lambda: call("ptrace", 16, parent, 0, 0),
        "limit supervisord": lambda: call("prlimit", parent, 7, ctypes.byref((ctypes.c_ulong * 2)(64, 64)), None),
        "make a namespace": lambda: call("unshare", 0x10000000),
    }
    ended = {}
    for name, attempt in attempts.items():
        try:
            attempt()
            ended[name] = "done"
        except OSError as error:
            ended[name] = errno.errorcode.get(error.errno or 0, str(error))
    with open("/proc/self/environ", "rb") as environment:
        ended["environment"] = environment.read().replace(b"\0", b" ").decode()
    raise ValueError(json.dumps(ended))


_FAULTS = {b"SEGFAULT": _crash, b"HANG": _hang, b"SLOW": time.sleep, b"INTRUDE": _intrude}


def _break_the_decoder() -> None:
    import cv2

    decode = cv2.imdecode

    def imdecode(data: Any, *arguments: Any) -> Any:
        if marker := _MARKER.search(data.tobytes()):
            _FAULTS[marker[1]](float(marker[2] or 0))
        return decode(data, *arguments)

    cv2.imdecode = imdecode  # type: ignore[assignment]  # its declaration has overloads


if "pivision.worker" in sys.orig_argv:
    _break_the_decoder()
