"""A seccomp filter: the system calls that a process gives up for itself and its children, for good (seccomp(2)).

What it may not do fails with EPERM, as under systemd's SystemCallFilter=. It forbids what Landlock does not see: Unix
sockets such as supervisord's, signals, modes of files, other processes' memory. A kernel without Landlock has nothing
else. Standard library only.
"""

import ctypes
import errno
import os
import platform
import socket
import struct
import sys
from typing import NamedTuple

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38  # linux/prctl.h
_MODE_FILTER = 2
_KILL_PROCESS, _FAIL, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06  # BPF, linux/filter.h
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in seccomp_data
_X32 = 0x40000000
_SOCKET_KIND = 0xF  # without SOCK_CLOEXEC and SOCK_NONBLOCK
_NEW_NAMESPACES = 0x7E020080  # CLONE_NEW*
_TYPE_INTO_TERMINAL = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX

# Number on x86-64 and on aarch64; None: there is none.
_FORBIDDEN: dict[str, tuple[int | None, int | None]] = {
    # connections: those that are open stay, datagrams to Unix sockets (the doorbells) may be sent
    "connect": (42, 203), "accept": (43, 202), "accept4": (288, 242), "bind": (49, 200), "listen": (50, 201),
    # other processes: their memory, their signals, their limits
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "setpriority": (141, 140), "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118), "sched_setattr": (314, 274), "ioprio_set": (251, 30), "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # what Landlock does not see, or did not in its first versions
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "setxattrat": (463, 463), "removexattrat": (466, 466), "truncate": (76, 45), "open_by_handle_at": (304, 265),
    # parts of the kernel that a decoder never needs
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "unshare": (272, 97), "setns": (308, 268), "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "personality": (135, 92), "fanotify_init": (300, 262), "quotactl": (179, 60),
}  # fmt: skip


class _Machine(NamedTuple):
    column: int
    audit: int  # AUDIT_ARCH_*
    socket: int
    clone: int
    kill: int
    tgkill: int
    ioctl: int
    prlimit: int


_MACHINES = {
    "x86_64": _Machine(0, 0xC000003E, 41, 56, 62, 234, 16, 302),
    "aarch64": _Machine(1, 0xC00000B7, 198, 220, 129, 131, 29, 261),
}
_CLONE3 = 435


def is_supported() -> bool:
    """Whether there is a filter for this machine, and a kernel that takes it."""
    libc = ctypes.CDLL(None)
    has_filters = libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, None, 0, 0) != 0 and _actions_are_known()
    return _machine() is not None and has_filters


def restrict() -> bool:
    """Forbid this thread, and those and the processes that it starts, those calls; False where that cannot be done."""
    machine = _machine()
    if machine is None:
        return False
    program = _program(machine)
    instructions = ctypes.create_string_buffer(program, len(program))
    libc = ctypes.CDLL(None, use_errno=True)

    class SockFprog(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    listed = SockFprog(len(program) // 8, ctypes.addressof(instructions))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(listed), 0, 0) == 0)


def _actions_are_known() -> bool:
    return os.path.exists("/proc/sys/kernel/seccomp/actions_avail")  # noqa: PTH110  # since 4.14, with filters


def _machine() -> _Machine | None:
    is_64_bit = sys.maxsize > 1 << 32
    return _MACHINES.get(platform.machine()) if is_64_bit else None


def _program(machine: _Machine) -> bytes:
    """The filter: blocks that each look for one call and return, so that no jump is long."""
    fail = _statement(_RETURN, _FAIL | errno.EPERM)
    allow = _statement(_RETURN, _ALLOW)
    parts = [
        _statement(_LOAD, _ARCHITECTURE),
        _jump(_EQUAL, machine.audit, 1, 0),
        _statement(_RETURN, _KILL_PROCESS),
        _statement(_LOAD, _NUMBER),
        _jump(_AT_LEAST, _X32, 0, 1),
        fail,
        # glibc falls back to clone, whose flags can be seen
        _jump(_EQUAL, _CLONE3, 0, 1),
        _statement(_RETURN, _FAIL | errno.ENOSYS),
    ]
    for numbers in _FORBIDDEN.values():
        if (number := numbers[machine.column]) is not None:
            parts += [_jump(_EQUAL, number, 0, 1), fail]
    parts += _when(
        machine.socket,
        _argument(0),
        _jump(_EQUAL, socket.AF_UNIX, 1, 0),
        fail,
        _argument(1),
        _statement(_AND, _SOCKET_KIND),
        _jump(_EQUAL, socket.SOCK_DGRAM, 1, 0),
        fail,
        allow,
    )
    parts += _when(machine.clone, _argument(0), _jump(_ANY_BIT, _NEW_NAMESPACES, 0, 1), fail, allow)
    for own in (machine.kill, machine.tgkill):
        parts += _when(own, _argument(0), _jump(_EQUAL, os.getpid(), 1, 0), fail, allow)
    parts += _when(machine.prlimit, _argument(0), _jump(_EQUAL, 0, 1, 0), fail, allow)
    typing = [part for request in _TYPE_INTO_TERMINAL for part in (_jump(_EQUAL, request, 0, 1), fail)]
    parts += _when(machine.ioctl, _argument(1), *typing, allow)
    return b"".join((*parts, allow))


def _when(number: int, *block: bytes) -> list[bytes]:
    """The block, which returns, for this call; for others, what follows it."""
    return [_jump(_EQUAL, number, 0, len(block)), *block]


def _argument(place: int) -> bytes:
    """Load the lower half of an argument; both machines are little-endian."""
    return _statement(_LOAD, _ARGUMENTS + 8 * place)


def _statement(code: int, operand: int) -> bytes:
    return _jump(code, operand, 0, 0)


def _jump(code: int, operand: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, operand)
