"""What a process may do beyond others: given up for good."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

from evaluators.sandbox import kernel

NOBODY = 65534
CAPABILITY_VERSION_3 = 0x20080522


def leave_root() -> None:
    """As root, become nobody, who owns nothing; does nothing for other users.

    In a container that knows no other user, root stays root, which there is a user like any other.
    """
    if os.geteuid() != 0:
        return
    with suppress(OSError):
        os.setgroups([])
    with suppress(OSError):
        os.setresgid(NOBODY, NOBODY, NOBODY)
    with suppress(OSError):
        os.setresuid(NOBODY, NOBODY, NOBODY)


def drop_capabilities() -> None:
    """Give up every capability, and the way to get one back by executing a file.

    Raises:
        OSError: the kernel refused.
    """
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    with suppress(OSError):  # until there is no capability of the next number, or without the right to drop any
        for capability in range(64):
            kernel.prctl(kernel.PR_CAPBSET_DROP, capability)
    with suppress(OSError):
        kernel.prctl(kernel.PR_CAP_AMBIENT, kernel.PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    kernel.call("capset", ctypes.addressof(header), ctypes.addressof(nothing))
