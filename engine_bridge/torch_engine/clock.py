"""The engine's clock: real, or any that tests let go by as they like."""

from __future__ import annotations

import time
from typing import Protocol

SPIN = 0.001
"""Seconds before an arrival from which on the engine no longer sleeps: the system may wake it late by about as much."""


class Clock(Protocol):
    """Seconds since the run began."""

    def now(self) -> float:
        """The time."""

    def wait_until(self, moment: float) -> None:
        """Return at `moment`, or at once if that is past."""


class RealClock:
    """The monotonic clock of the machine, from its making on."""

    def __init__(self) -> None:
        self._origin = time.perf_counter()

    def now(self) -> float:
        """The time."""
        return time.perf_counter() - self._origin

    def wait_until(self, moment: float) -> None:
        """Sleep, then spin."""
        while (left := moment - self.now()) > 0:
            if left > SPIN:
                time.sleep(left - SPIN)
