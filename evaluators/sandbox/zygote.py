"""The process that candidates are forked from: Python and NumPy warmed up, and no secret to inherit.

Started by exec, so that nothing of the supervisor's memory is in it, and handed its control socket as
standard input.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np

from evaluators.sandbox import child
from evaluators.sandbox.control import FORK, REPLY, Command, Reply, receive_command

WARM = (
    *("numpy.random", "numpy.linalg", "numpy.fft", "numpy.ma", "numpy.polynomial"),
    *("bisect", "collections", "dataclasses", "functools", "heapq", "itertools"),
    *("math", "operator", "random", "statistics", "typing"),
)
"""Imported before the first fork, so that no candidate pays for them."""


def main(parent: int, paths: list[str]) -> None:
    """Obey the control socket until its other end is closed, by `parent` or by its death.

    `paths` were put into `sys.path` to get here and are taken out again.
    """
    child.die_with(parent)
    control = socket.socket(fileno=os.dup(0))
    os.dup2(1, 0)
    warm_up()
    forget_project(paths)
    size = address_space()
    control.sendall(REPLY.pack(*Reply(os.getpid())))
    obey(control, size)


def warm_up() -> None:
    """Import what heuristics use, and make every zygote alike."""
    for name in WARM:
        importlib.import_module(name)
    np.seterr(all="ignore")
    warnings.simplefilter("ignore")
    np.random.seed(0)


def forget_project(paths: list[str]) -> None:
    """Leave candidates nothing to import but NumPy and the standard library."""
    sys.path[:] = [path for path in sys.path if path not in paths]
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


def obey(control: socket.socket, size: int) -> None:
    """Fork and reap as commanded.

    A child that has ended is left unreaped until the supervisor says so: as long as the supervisor may read
    the clock of a process number, that number belongs to the child.
    """
    pid = 0
    while (received := receive_command(control)) is not None:
        command, descriptors = received
        if command.kind == FORK:
            pid = fork(control, descriptors, command, size)
        else:
            control.sendall(REPLY.pack(*reap(pid, command.grace)))


def fork(control: socket.socket, descriptors: list[int], command: Command, size: int) -> int:
    """Fork a child, which answers the command itself; return its process number."""
    zygote = os.getpid()
    pid = os.fork()
    if pid == 0:
        address_space = size + command.memory_bytes if size else 0
        child.run(zygote, [*descriptors, control.fileno()], command.cpu_seconds, address_space)
    for descriptor in descriptors:
        os.close(descriptor)
    return pid


def reap(pid: int, grace: float) -> Reply:
    """Wait up to `grace` seconds for a child to end, kill it and its process group, and say how it ended."""
    deadline = time.monotonic() + grace
    while not (ended := has_ended(pid)) and time.monotonic() < deadline:
        time.sleep(0.0005)
    for kill in (os.kill, os.killpg):  # the group exists only once the child has made it
        with suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    return Reply(status, usage.ru_utime + usage.ru_stime, not ended)


def has_ended(pid: int) -> bool:
    """Whether a child is waiting to be reaped; where that cannot be told, False."""
    if not hasattr(os, "waitid"):
        return False
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
