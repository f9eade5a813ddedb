"""Promotion: candidates among the best on train are evaluated on validation, beside the search."""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import Awaitable, Callable

from discovery.candidate import Candidate

Validate = Callable[[str, str], Awaitable[None]]


class Promotion:
    """Watches committed candidates and has each that enters the best `places` on train validated.

    Validation results never reach the search, so their timing does not matter.
    """

    def __init__(self, validate: Validate, places: int) -> None:
        """`validate(label, source)` evaluates and records one heuristic, unless that is done already."""
        self._validate = validate
        self._places = places
        self._best: list[float] = []
        self._running: list[asyncio.Future[None]] = []

    def __call__(self, candidate: Candidate) -> None:
        """Take note of a committed candidate."""
        if candidate.score is None or candidate.source is None:
            return
        position = bisect.bisect_right(self._best, candidate.score)
        if position < self._places:
            self._best.insert(position, candidate.score)
            del self._best[self._places :]
            self._running.append(asyncio.ensure_future(self._validate(candidate.label, candidate.source)))

    async def finish(self) -> None:
        """Wait for every validation under way; the first failure is raised."""
        try:
            await asyncio.gather(*self._running)
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Drop what is under way."""
        for task in self._running:
            task.cancel()
