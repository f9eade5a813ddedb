"""The process that candidates are forked from: Python and NumPy warmed up, and no secret to inherit.

Started by exec, so that nothing of the supervisor's memory is in it, and handed its control socket as
standard input.
"""

from __future__ import annotations

import gc
import importlib
import os
import socket
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np

from evaluators.sandbox import child, seal
from evaluators.sandbox.control import FORK, REPLY, Command, Reply, receive_command
from evaluators.sandbox.reaper import Reaper
from evaluators.sandbox.seccomp import Filter
from evaluators.sandbox.tiers import Layer
from evaluators.sandbox.warm import MODULES


def main(parent: int, paths: list[str], wanted: int) -> None:
    """Obey the control socket until its other end is closed, by `parent` or by its death.

    `paths` were put into `sys.path` to get here. `wanted` are the layers to put on; the first reply says which.
    """
    seal.die_with(parent)
    control = socket.socket(fileno=os.dup(0))
    os.dup2(1, 0)
    warm_up()
    size = address_space()
    reaper = Reaper()
    forget_project()
    layers = seal.put_on(Layer(wanted), parent)
    if Layer.NAMESPACES in layers:
        reaper.rule_alone()
    control.sendall(REPLY.pack(*Reply(layers.value)))
    obey(control, size, layers, reaper)


def warm_up() -> None:
    """Import what heuristics use, and make every zygote alike."""
    warnings.simplefilter("ignore")
    for name in MODULES:
        with suppress(ImportError):  # not in every version or build of Python
            importlib.import_module(name)
    np.seterr(all="ignore")
    np.random.seed(0)


def forget_project() -> None:
    """Leave candidates nothing to import but NumPy and the standard library, as far as it is loaded."""
    sys.path.clear()  # not even looked at: the seal takes the files away
    sys.argv[:] = sys.orig_argv[:] = [""]
    sys.path_importer_cache.clear()
    for name in list(sys.modules):
        if name.partition(".")[0] == "evaluators":
            del sys.modules[name]
    vars(sys.modules["__main__"]).clear()
    os.environ.clear()
    gc.collect()
    gc.freeze()


def address_space() -> int:
    """Bytes of address space this process takes; 0 where that cannot be told."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def obey(control: socket.socket, size: int, layers: Layer, reaper: Reaper) -> None:
    """Fork and reap as commanded.

    A child that has ended is left unreaped until the supervisor says so: as long as the supervisor may read
    the clock of a process number, that number belongs to the child.
    """
    pid = 0
    filter = Filter() if Layer.SECCOMP in layers else None
    while (received := receive_command(control)) is not None:
        command, descriptors = received
        if command.kind == FORK:
            limits = limits_of(command, size) if Layer.LIMITS in layers else {}
            pid = fork([*descriptors, control.fileno()], child.Confinement(os.getpid(), limits, filter))
            for descriptor in descriptors:
                os.close(descriptor)
        else:
            control.sendall(REPLY.pack(*reaper.reap(pid, command.grace)))


def limits_of(command: Command, size: int) -> dict[int, int]:
    """The kernel's limits for a child of this process, which takes `size` bytes of address space itself."""
    return child.limits(command.cpu_seconds, size + command.memory_bytes if size else 0)


def fork(descriptors: list[int], confinement: child.Confinement) -> int:
    """Fork a child, which answers the command itself; return its process number."""
    pid = os.fork()
    if pid == 0:
        child.run(descriptors, confinement)
    return pid
