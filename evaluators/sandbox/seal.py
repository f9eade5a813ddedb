"""The layers around candidates that a zygote puts on once, in order; what it forks inherits them."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from evaluators.sandbox import kernel, landlock, namespaces, privileges, seccomp
from evaluators.sandbox.tiers import Layer

EXIT_ORPHAN = 70


def put_on(wanted: Layer, parent: int) -> Layer:
    """Confine this process with all wanted layers that the machine has, and return which these are.

    With namespaces it is a fork that returns, the first process of the new ones; the process that called stays
    behind as a shell of it, of which `parent` knows, and neither outlives the other.
    """
    if sys.platform != "linux":
        return wanted & Layer.LIMITS
    if Layer.PRIVILEGES in wanted:
        privileges.leave_root()
        die_with(parent)  # which the kernel forgets when the user changes
    layers = wanted & available(wanted)
    if Layer.NAMESPACES in layers:
        namespaces.enter()
        fork_first(parent)
        namespaces.empty_root()
    else:
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)  # whatever a candidate leaves behind becomes ours
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if Layer.PRIVILEGES in layers:
        privileges.drop_capabilities()
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    if Layer.LANDLOCK in layers:
        landlock.restrict()
    return layers


def available(wanted: Layer) -> Layer:
    """Which layers the machine has; those that take time to find out are only looked for if wanted."""
    layers = Layer.PRIVILEGES | Layer.LIMITS
    if Layer.NAMESPACES in wanted and namespaces.are_allowed():
        layers |= Layer.NAMESPACES
    if landlock.version():
        layers |= Layer.LANDLOCK
    if seccomp.is_available():
        layers |= Layer.SECCOMP
    return layers


def fork_first(parent: int) -> None:
    """Return in the first process of the new namespaces; in the old one, end when that one does."""
    pid = os.fork()
    if pid == 0:
        die_with(0)  # seen from inside, the process outside has no number
        return
    stay_behind(pid, parent)


def stay_behind(first: int, parent: int) -> NoReturn:
    """Hold nothing open, and end with the first process of the namespaces or with `parent`."""
    die_with(parent)  # forgotten once more on entering the namespaces
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))
    os.waitpid(first, 0)
    os._exit(0)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends. Linux only; elsewhere, do nothing."""
    if sys.platform != "linux":
        return
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(EXIT_ORPHAN)
