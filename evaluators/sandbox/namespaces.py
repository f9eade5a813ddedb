"""A world of its own: an empty read-only root, no network, no processes but its own. See `namespaces(7)`."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from evaluators.sandbox import kernel
from evaluators.sandbox.kernel import checked, libc
from evaluators.sandbox.privileges import NOBODY

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
ALL = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET

HOST = b"sandbox"

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18
MNT_DETACH = 2


def enter() -> None:
    """Leave the machine's namespaces; the next child this process forks is the first of the new ones.

    Raises:
        OSError: the kernel, or its configuration, does not allow this.
    """
    uid, gid = os.geteuid(), os.getegid()
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # or else our own maps are not ours to write
    checked(libc.unshare(ALL), "unshare")
    for name, line in (("setgroups", "deny"), ("uid_map", f"{NOBODY} {uid} 1"), ("gid_map", f"{NOBODY} {gid} 1")):
        Path("/proc/self", name).write_text(line)
    checked(libc.sethostname(HOST, ctypes.c_size_t(len(HOST))), "sethostname")


def empty_root() -> None:
    """Exchange the file system for one that holds nothing and cannot be written.

    What Python needs was imported before, so that there is no reason to leave a candidate any file.

    Raises:
        OSError: the kernel, or its configuration, does not allow this.
    """
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    # Over /proc, as any folder will do and this one is there for certain.
    mount("none", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,nr_inodes=2,mode=555")
    os.chdir("/proc")
    here = ctypes.create_string_buffer(b".")
    kernel.call("pivot_root", ctypes.addressof(here), ctypes.addressof(here))
    checked(libc.umount2(b".", MNT_DETACH), "umount2")
    os.chdir("/")
    mount("none", "/", "", MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """`mount(2)`.

    Raises:
        OSError: the kernel refused.
    """
    result = libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    checked(result, f"mount({target})")


def are_allowed() -> bool:
    """Whether this process could enter namespaces; found by trying, in a process that is thrown away."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            enter()
            empty_root()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0
