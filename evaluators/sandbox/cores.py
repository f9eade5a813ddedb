"""One core for two that take turns: a process that wakes another core waits several times longer for the answer."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache

PERIOD = 256
"""Questions after which the two look for a core anew, so that the kernel can still spread the load."""


class SharedCore:
    """Keeps the calling thread and a process that it asks on one core, the one where the thread was woken.

    The first `PERIOD` turns change nothing, so that who is asked a few long questions stays free. After each period
    the thread is set free for one turn and wakes where the kernel sees room. Threads that the calling thread starts
    in between would inherit its core: not for engines that compute with several.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._turns = 0
        self._home = cores() if core_of_thread() is not None else set()

    def turn(self) -> None:
        """Count one question, before it is put."""
        self._turns += 1
        phase = self._turns % PERIOD
        if phase == PERIOD - 1:
            self.end()
        elif phase == 0 and self._home and (core := core_of_thread()) is not None:
            with suppress(OSError):  # the process is dead, as its pipe will tell, or the core is no longer ours
                os.sched_setaffinity(self._pid, (core,))
                os.sched_setaffinity(0, (core,))

    def end(self) -> None:
        """Let the calling thread run anywhere again. Idempotent."""
        if self._home and self._turns >= PERIOD:
            with suppress(OSError):
                os.sched_setaffinity(0, self._home)


class AnyCore:
    """Keeps nobody anywhere: for a thread of an engine that computes with several, and that goes on while it asks.

    The process is of the class BATCH, so that it takes no core from a thread that is at work when it wakes.
    """

    def __init__(self, pid: int) -> None:
        if hasattr(os, "SCHED_BATCH"):
            with suppress(OSError):  # the process is dead, as its pipe will tell
                os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0))

    def turn(self) -> None:
        """One question."""

    def end(self) -> None:
        """The last one."""


Core = type[SharedCore] | type[AnyCore]


@cache
def cores() -> set[int]:
    """The cores that this process could use when it first asked; before anything was kept on one."""
    return set(os.sched_getaffinity(0))


def core_of_thread() -> int | None:
    """Number of the core that the calling thread runs on; None where that cannot be told, or not be chosen."""
    ask = _sched_getcpu()
    core = -1 if ask is None else ask()
    return core if core >= 0 else None


@cache
def _sched_getcpu() -> Callable[[], int] | None:
    """The C library's `sched_getcpu(3)`, where there is one."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    found: Callable[[], int] | None = getattr(ctypes.CDLL(None), "sched_getcpu", None)
    return found
