"""How long a run may go on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Budget:
    """A run ends after `candidates` candidates or `minutes` minutes of searching, whichever comes first.

    `spent_seconds` and `recorded`: what earlier sessions of the same run have used and committed; the candidates
    recorded are always permitted, as they cost nothing more.
    """

    def __init__(
        self,
        *,
        candidates: int,
        minutes: float | None = None,
        spent_seconds: float = 0.0,
        recorded: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.candidates = candidates
        self._seconds = math.inf if minutes is None else 60 * minutes
        self._recorded = recorded
        self._clock = clock
        self._start = clock() - spent_seconds
        self.reason = ""

    @property
    def elapsed(self) -> float:
        """Seconds searched so far, earlier sessions included."""
        return self._clock() - self._start

    def permits(self, number: int) -> bool:
        """Whether candidate `number` (counted from 0) may still be asked for; if not, `reason` says why."""
        if number >= self.candidates:
            self.reason = f"all {self.candidates} candidates of the budget were tried"
        elif number >= self._recorded and self.elapsed >= self._seconds:
            self.reason = f"the time budget of {self._seconds / 60:g} min is used up"
        return not self.reason
