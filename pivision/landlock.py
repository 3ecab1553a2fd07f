"""Landlock: what a process gives up of the file system for itself and its children, for good (landlock(7)).

By system calls, for which glibc has no functions: they have the same numbers on every machine. Standard library only.
"""

import contextlib
import ctypes
import enum
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

LEAST_ABI = 2
"""Linux 5.19: before it, no file can be linked into another folder, as images are."""

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True)


class Right(enum.IntFlag):
    """What may be done below a path; linux/landlock.h."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15

    READ = READ_FILE | READ_DIR
    RUN = READ_FILE | READ_DIR | EXECUTE
    CHANGE_FILE = READ_FILE | WRITE_FILE | TRUNCATE
    CHANGE = READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | MAKE_REG | REMOVE_FILE | REFER


_OF_FILES = Right.EXECUTE | Right.WRITE_FILE | Right.READ_FILE | Right.TRUNCATE | Right.IOCTL_DEV
_ALL = {1: 1 << 13, 2: 1 << 14, 3: 1 << 15, 4: 1 << 15, 5: 1 << 16}  # the first right that an ABI does not know
_TCP, _TCP_ABI = 3, 4  # bind and connect
_SCOPES, _SCOPES_ABI = 3, 6  # abstract sockets and signals of processes that are not restricted alike


class Rule(NamedTuple):
    """A path, and what may be done with it and below it."""

    path: Path
    rights: Right


def abi() -> int:
    """Return the version of this kernel's Landlock; 0 where it has none, or it is switched off or forbidden."""
    return max(0, int(_LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))))


def restrict(rules: Iterable[Rule]) -> bool:
    """Restrict this thread, and those and the processes that it starts, to the rules; False where Landlock cannot.

    A path that is not there, or that this user cannot reach, is left out. Raises OSError.
    """
    version = abi()
    if version < LEAST_ABI:
        return False
    handled = _ALL.get(version, _ALL[5]) - 1
    attributes = struct.pack("=Q", handled)
    if version >= _TCP_ABI:
        attributes += struct.pack("=Q", _TCP)
    if version >= _SCOPES_ABI:
        attributes += struct.pack("=Q", _SCOPES)
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    try:
        for rule in rules:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                _add(ruleset, rule, handled)
        if _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
        _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
    return True


def _add(ruleset: int, rule: Rule, handled: int) -> None:
    descriptor = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = rule.rights & handled
        if not rule.path.is_dir():
            rights &= _OF_FILES
        attributes = struct.pack("=Qi", rights, descriptor)
        _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), attributes, ctypes.c_uint32(0))
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    result = int(_LIBC.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock, system call {number}: {os.strerror(code)}")
    return result
