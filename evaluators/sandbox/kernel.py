"""Calls of the Linux kernel for which Python has no function."""

from __future__ import annotations

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
PR_CAPBSET_DROP, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 24, 47, 4

NUMBERS = {
    "x86_64": {"capset": 126, "pivot_root": 155, "seccomp": 317},
    "aarch64": {"capset": 91, "pivot_root": 41, "seccomp": 277},
}
"""The calls that the C library does not offer, where they differ by architecture."""
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446


class UnknownArchitecture(OSError):
    """The machine's system calls have other numbers than those we know."""


def architecture() -> str:
    """The machine's architecture, as the kernel calls it.

    Raises:
        UnknownArchitecture: it is none of those in `NUMBERS`.
    """
    machine = os.uname().machine
    if machine not in NUMBERS or ctypes.sizeof(ctypes.c_void_p) != 8:
        raise UnknownArchitecture(f"no table of system calls for {machine}; there are {', '.join(NUMBERS)}")
    return machine


def checked(result: int, what: str) -> int:
    """`result`, unless it says that the call `what` failed.

    Raises:
        OSError: with the kernel's reason.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def call(name: str, *arguments: int) -> int:
    """The system call `name` of `NUMBERS`, with numbers and addresses as arguments.

    Raises:
        OSError: the kernel refused, or the architecture is unknown.
    """
    return call_number(NUMBERS[architecture()][name], name, *arguments)


def call_number(number: int, name: str, *arguments: int) -> int:
    """The system call `number`; `name` is for the error's text.

    Raises:
        OSError: the kernel refused.
    """
    # Without the type, ctypes passes 32 bits.
    return checked(libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)), name)


def prctl(option: int, value: int = 0) -> None:
    """Change an attribute of this process.

    Raises:
        OSError: the kernel refused.
    """
    zero = ctypes.c_ulong(0)
    checked(libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero), f"prctl({option})")
