"""How long a run may go on, and how much it may spend."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from discovery.proposers.base import NOTHING, Charge


class BudgetSpent(Exception):
    """The budget has no room for another call; the message says which part of it."""


@dataclass(frozen=True, slots=True)
class Spending:
    """What a run has used so far: calls made, and what they cost.

    `held` is that part of `charge` which is not known to be owed: the most that calls in flight, or of unknown
    outcome, may cost.
    """

    calls: int = 0
    charge: Charge = NOTHING
    held: Charge = NOTHING


class Budget:
    """A run ends after so many candidates, calls, tokens, so much money or so many minutes, whichever comes first.

    `spent_seconds` and `recorded`: what earlier sessions of the same run have used and committed; the candidates
    recorded are always permitted, as they cost nothing more.
    """

    def __init__(
        self,
        *,
        candidates: int,
        calls: int | None = None,
        tokens: int | None = None,
        money: float | None = None,
        minutes: float | None = None,
        spent_seconds: float = 0.0,
        recorded: int = 0,
        clock: Callable[[], float] = time.monotonic,  # which no setting of the clock moves
    ) -> None:
        self.candidates = candidates
        self.calls = calls
        self.tokens = tokens
        self.money = money
        self._seconds = math.inf if minutes is None else 60 * minutes
        self._recorded = recorded
        self._clock = clock
        self._start = clock() - spent_seconds
        self.reason = ""

    @property
    def elapsed(self) -> float:
        """Seconds searched so far, earlier sessions included."""
        return self._clock() - self._start

    @property
    def left(self) -> float:
        """Seconds until the time budget is used up."""
        return self._seconds - self.elapsed

    def permits(self, number: int) -> bool:
        """Whether candidate `number` (counted from 0) may still be asked for; if not, `reason` says why."""
        if number >= self.candidates:
            self.reason = f"all {self.candidates} candidates of the budget were tried"
        elif number >= self._recorded:
            self.reason = self.time_is_up()
        return not self.reason

    def refuses(self, spending: Spending, most: Charge) -> str:
        """Why one more call that may cost `most` has no room beside what is spent and held; empty if it has."""
        after = spending.charge + most
        if self.calls is not None and spending.calls >= self.calls:
            return f"the budget of {self.calls} calls is used up"
        if self.tokens is not None and after.tokens > self.tokens:
            return f"the budget of {self.tokens} tokens has no room for another call: {_left(self.tokens, spending)}"
        if self.money is not None and after.cost > self.money:
            used = f"{spending.charge.cost:.4f} spent, a call may cost {most.cost:.4f}"
            return f"the budget of {self.money:g} in money has no room for another call: {used}"
        return self.time_is_up()

    def time_is_up(self) -> str:
        """Why nothing more may begin, if the time budget is used up; empty if it is not."""
        return "" if self.left > 0 else f"the time budget of {self._seconds / 60:g} min is used up"


def _left(tokens: int, spending: Spending) -> str:
    unknown = f", {spending.held.tokens} of them perhaps (calls of unknown outcome)" if spending.held.tokens else ""
    return f"{spending.charge.tokens} used{unknown}, {max(tokens - spending.charge.tokens, 0)} left"
