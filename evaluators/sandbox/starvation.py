"""Time lost to other programs: ready to run, but without a core. The kernel counts it, so no candidate can claim it."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path


class Starvation:
    """What a candidate and the thread that made this, which asks it, have waited for cores since then.

    The asking thread counts as well: with many short questions it is mostly the one that waits. Of the candidate, the
    first thread counts; the seal lets it have no other.
    """

    def __init__(self, pid: int) -> None:
        self._threads = (pid, threading.get_native_id())
        self._before = self._so_far()

    @property
    def seconds(self) -> float:
        """Time without a core; 0 where the kernel does not say. A wait counts once it is over."""
        return max(0.0, self._so_far() - self._before)

    def _so_far(self) -> float:
        return sum(core_wait_seconds(thread) for thread in self._threads)


def core_wait_seconds(thread: int) -> float:
    """Time that a thread, given by its number, was ready to run and waited for a core.

    The second number of Linux's `schedstat` (Documentation/scheduler/sched-stats.rst); 0 where there is none.
    """
    with suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{thread}/schedstat").read_text().split()[1]) / 1e9
    return 0.0
