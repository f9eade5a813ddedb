"""Which system calls a candidate may make: an allow-list, assembled into the kernel's filter language.

See `seccomp(2)` and Linux's `Documentation/networking/filter.rst`. A call is allowed, or fails with an error
that Python code can live with, or ends the process, which the supervisor reports as a policy violation.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from contextlib import suppress

from evaluators.sandbox import kernel
from evaluators.sandbox.syscalls import AUDIT, NUMBERS

ALLOWED = (
    # Pipes and other descriptors that are open already.
    *("read", "write", "close", "lseek", "fstat", "dup", "dup2", "dup3"),
    # Memory; `mmap` and `mprotect` are below.
    *("munmap", "mremap", "madvise", "brk"),
    # Signals of its own.
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack"),
    # Time and chance.
    *("clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times"),
    *("getrandom", "getrusage"),
    # What Python asks about itself.
    *("getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "sched_getaffinity"),
    # Locks within one process, and the end.
    *("futex", "sched_yield", "exit", "exit_group"),
)
REFUSED = {
    errno.EACCES: (  # looking for a file: there is none for a candidate
        *("open", "openat", "stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2"),
        *("readlink", "readlinkat", "getcwd", "getdents64", "statfs"),
    ),
    errno.EPERM: ("uname", "sysinfo", "tgkill", "sched_setaffinity"),
    errno.ENOTTY: ("ioctl",),
    errno.ENOSYS: ("clone3", "openat2", "rseq", "set_robust_list", "membarrier"),  # the C library knows other ways
}
PROT_EXEC = 4
F_GETFD, F_GETFL = 1, 3

SECCOMP_SET_MODE_FILTER, SECCOMP_GET_ACTION_AVAIL = 1, 2
KILL_PROCESS, ERRNO, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000

LOAD, JUMP, JUMP_EQUAL, JUMP_SET, RETURN = 0x20, 0x05, 0x15, 0x45, 0x06
NUMBER, ARCHITECTURE = 0, 4
"""Offsets in `struct seccomp_data`."""

Instruction = tuple[int, int, int, int]
"""Code, distance to jump if true, distance to jump if false, constant."""


def program(architecture: str) -> bytes:
    """The filter of an architecture of `syscalls.NUMBERS`, as the kernel reads it.

    Raises:
        UnknownArchitecture: it is none of them.
    """
    if architecture not in NUMBERS:
        raise kernel.UnknownArchitecture(f"no table of system calls for {architecture}")
    numbers = NUMBERS[architecture]
    instructions = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, AUDIT[architecture]),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER),
        *each_of([numbers[name] for name in ALLOWED if name in numbers], ALLOW),
        *conditions(numbers),
    ]
    for error, names in REFUSED.items():
        instructions += each_of([numbers[name] for name in names if name in numbers], ERRNO | error)
    instructions.append((RETURN, 0, 0, KILL_PROCESS))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in instructions)


def each_of(numbers: list[int], action: int) -> list[Instruction]:
    """Take `action` if the loaded word is one of `numbers`."""
    count = len(numbers)
    tests = [(JUMP_EQUAL, count - place, 0, number) for place, number in enumerate(numbers)]
    return [*tests, (JUMP, 0, 0, 1), (RETURN, 0, 0, action)]


def conditions(numbers: dict[str, int]) -> list[Instruction]:
    """The calls that depend on an argument: no memory becomes code, and of itself a process may only ask."""
    executable = [*word(2), (JUMP_SET, 0, 1, PROT_EXEC), (RETURN, 0, 0, ERRNO | errno.EACCES), (RETURN, 0, 0, ALLOW)]
    asks = [*word(1), *each_of([F_GETFD, F_GETFL], ALLOW), (RETURN, 0, 0, ERRNO | errno.EPERM)]
    nothing_new = [*equals_zero(0), *equals_zero(2), (RETURN, 0, 0, ALLOW)]
    return [
        *when(numbers["mmap"], executable),
        *when(numbers["mprotect"], executable),
        *when(numbers["fcntl"], asks),
        *when(numbers["prlimit64"], nothing_new),
    ]


def when(number: int, block: list[Instruction]) -> list[Instruction]:
    """Run `block`, which ends in a return, for the system call `number`."""
    return [(JUMP_EQUAL, 0, len(block), number), *block]


def word(argument: int, *, high: bool = False) -> list[Instruction]:
    """Load one half of an argument; both architectures are little-endian."""
    return [(LOAD, 0, 0, 16 + 8 * argument + 4 * high)]


def equals_zero(argument: int) -> list[Instruction]:
    """Go on if both halves of an argument are zero, refuse the call otherwise."""
    refuse = (RETURN, 0, 0, ERRNO | errno.EPERM)
    low, high = word(argument), word(argument, high=True)
    return [*low, (JUMP_EQUAL, 1, 0, 0), refuse, *high, (JUMP_EQUAL, 1, 0, 0), refuse]


def is_available() -> bool:
    """Whether this kernel has filters that can end a process, and we know its system calls."""
    action = ctypes.c_uint32(KILL_PROCESS)
    with suppress(OSError):
        kernel.call("seccomp", SECCOMP_GET_ACTION_AVAIL, 0, ctypes.addressof(action))
        return True
    return False


class Filter:
    """An assembled filter, to be installed in any number of children."""

    def __init__(self) -> None:
        code = program(kernel.architecture())
        self._code = ctypes.create_string_buffer(code, len(code))
        header = struct.pack("=HxxxxxxQ", len(code) // 8, ctypes.addressof(self._code))
        self._header = ctypes.create_string_buffer(header, len(header))
        self._address = ctypes.addressof(self._header)

    def install(self) -> None:
        """Let this process make no other system calls from here on; needs no_new_privs.

        Raises:
            OSError: the kernel refused.
        """
        kernel.call("seccomp", SECCOMP_SET_MODE_FILTER, 0, self._address)
