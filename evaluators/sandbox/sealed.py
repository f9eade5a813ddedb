"""Bytes that one process hands to another and that neither can change any more."""

from __future__ import annotations

import fcntl
import os
import tempfile


def sealed(data: bytes) -> int:
    """A descriptor, to be closed by the caller, from which `data` can be read: a sealed memfd on Linux.

    Elsewhere it is a file without a name.
    """
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile() as file:
            os.pwrite(file.fileno(), data, 0)
            return os.dup(file.fileno())
    descriptor = os.memfd_create("heuristic", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.pwrite(descriptor, data, 0)
        fcntl.fcntl(
            descriptor,
            fcntl.F_ADD_SEALS,
            fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL,
        )
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
