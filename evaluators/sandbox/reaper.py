"""Ends candidates, with everything they may have started."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from evaluators.sandbox.control import Reply

POLL = 0.0005
"""Seconds between two looks at a child that is given time to end by itself."""


class Reaper:
    """Kills and reaps the children of this process, which has one at a time.

    Make it before the seal is put on: later, /proc is out of reach.
    """

    def __init__(self) -> None:
        self._alone = False
        self._children: int | None = None
        with suppress(OSError):
            self._children = os.open("/proc/thread-self/children", os.O_RDONLY)

    def rule_alone(self) -> None:
        """Know that all processes that this one sees are its own, as the first of a pid namespace."""
        self._alone = True
        if self._children is not None:
            os.close(self._children)
            self._children = None

    def reap(self, pid: int, grace: float) -> Reply:
        """Wait up to `grace` seconds for a child to end, kill it and what it started, and say how it ended."""
        deadline = time.monotonic() + grace
        while not (ended := has_ended(pid)) and time.monotonic() < deadline:
            time.sleep(POLL)
        kill(pid)
        with suppress(ProcessLookupError, PermissionError):  # the group exists only once the child has made it
            os.killpg(pid, signal.SIGKILL)
        if self._alone:
            kill(-1)
        _, status, usage = os.wait4(pid, 0)
        self._reap_strays()
        return Reply(status, usage.ru_utime + usage.ru_stime, not ended)

    def _reap_strays(self) -> None:
        """End what the child has left behind, and what that leaves behind in turn."""
        with suppress(ChildProcessError):
            while True:
                for stray in self._strays():
                    kill(stray)
                blind = not self._alone and self._children is None
                if os.waitpid(-1, os.WNOHANG if blind else 0)[0] == 0:
                    return  # what we cannot find we do not wait for

    def _strays(self) -> list[int]:
        """The other children of this process; where it is alone, they are dead already."""
        if self._alone or self._children is None:
            return []
        return [int(word) for word in os.pread(self._children, 1 << 16, 0).split()]


def kill(pid: int) -> None:
    """Kill a process, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def has_ended(pid: int) -> bool:
    """Whether a child is waiting to be reaped; where that cannot be told, False."""
    if not hasattr(os, "waitid"):
        return False
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
