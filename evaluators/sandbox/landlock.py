"""No files, no TCP ports, no abstract sockets, no signals to others: a Landlock domain without a single rule.

See `landlock(7)`. Kernels of different age know more or fewer of these; each denies all that it knows.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

from evaluators.sandbox import kernel

VERSION_FLAG = 1
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""How many kinds of access to files there are, by the version of Landlock that brought the last."""
TCP_VERSION, TCP_RIGHTS = 4, 0b11
SCOPE_VERSION, SCOPES = 6, 0b11


def version() -> int:
    """The kernel's version of Landlock; 0 without any."""
    with suppress(OSError):
        return kernel.call_number(kernel.LANDLOCK_CREATE_RULESET, "landlock_create_ruleset", 0, 0, VERSION_FLAG)
    return 0


def rules(version: int) -> tuple[int, ...]:
    """What a kernel of this version is told to deny: masks of files, network and scopes, as many as it knows."""
    files = (1 << max(rights for first, rights in FILE_RIGHTS.items() if first <= version)) - 1
    if version < TCP_VERSION:
        return (files,)
    if version < SCOPE_VERSION:
        return files, TCP_RIGHTS
    return files, TCP_RIGHTS, SCOPES


def restrict() -> None:
    """Confine this process and all that it forks; needs no_new_privs, and cannot be undone.

    Raises:
        OSError: the kernel refused.
    """
    denied = rules(version())
    attributes = (ctypes.c_uint64 * len(denied))(*denied)
    ruleset = kernel.call_number(
        kernel.LANDLOCK_CREATE_RULESET,
        "landlock_create_ruleset",
        ctypes.addressof(attributes),
        ctypes.sizeof(attributes),
        0,
    )
    try:
        kernel.call_number(kernel.LANDLOCK_RESTRICT_SELF, "landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)
