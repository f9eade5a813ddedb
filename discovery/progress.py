"""Live progress of a run on standard error: one line kept up to date, or a line now and then without a terminal."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from discovery.budget import Spending
from discovery.candidate import Candidate
from discovery.config import Budget
from evaluators.verdict import Verdict

EVERY_SECONDS = 5.0


class Progress:
    """Counts what is committed and shows it; use as a context manager."""

    def __init__(self, console: Console, budget: Budget, recorded: int = 0) -> None:
        """`recorded`: candidates committed by earlier sessions; they count, but not for the rate."""
        self._console = console
        self._budget = budget
        self._spending = Spending()
        self._recorded = recorded
        self._phase = "starting"
        self._done = self._valid = self._new = 0
        self._ended: float | None = None
        self._best: tuple[float, str] | None = None
        self._started = self._printed = time.monotonic()
        self._live = Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._line)

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()
        if self._done:
            self._console.print(self._line(), soft_wrap=True)

    def phase(self, name: str) -> None:
        """A new phase began."""
        if name == "search":
            self._started = time.monotonic()
            self._ended = None
            self._done = self._valid = self._new = 0  # a search that is taken up again recalls what it has
        elif self._phase == "search":
            self._ended = time.monotonic()
        self._phase = name
        if not self._console.is_terminal:
            self._console.print(f"{name} …", soft_wrap=True)

    def spending(self, spending: Spending) -> None:
        """More was spent, or less than was held."""
        self._spending = spending

    def candidate(self, candidate: Candidate) -> None:
        """A candidate was committed."""
        self._done += 1
        if self._done == self._recorded:
            self._started = time.monotonic()
        self._valid += candidate.verdict in (Verdict.ok, Verdict.duplicate)
        self._new += candidate.verdict is Verdict.ok
        if candidate.score is not None and (self._best is None or candidate.score < self._best[0]):
            self._best = (candidate.score, candidate.label)
        if not self._console.is_terminal and time.monotonic() - self._printed > EVERY_SECONDS:
            self._printed = time.monotonic()
            self._console.print(self._line(), soft_wrap=True)

    def _line(self) -> Text:
        seconds = (self._ended or time.monotonic()) - self._started
        if not self._done:
            return Text(f"{self._phase} …")
        best = f"{self._best[0]:.3f} % (#{self._best[1]})" if self._best else "none yet"
        parts = (
            f"candidates {self._done}/{self._budget.candidates}",
            f"valid {100 * self._valid / self._done:.0f} %",
            f"new {100 * self._new / self._done:.0f} %",
            f"best gap {best}",
            f"{max(self._done - self._recorded, 0) / max(seconds, 1e-9):.1f}/s",
            *self._spent(),
            f"{seconds:.0f} s",
            *([] if self._phase == "search" else [self._phase]),
        )
        return Text(" · ".join(parts))

    def _spent(self) -> list[str]:
        """Calls, tokens and money, each with its limit; nothing where there are no calls."""
        spent, limits = self._spending, self._budget
        if not spent.calls:
            return []
        parts = [f"calls {spent.calls}{_limit(limits.calls)}"]
        held = f" (up to {spent.held.tokens:,} of them not yet known)" if spent.held.tokens else ""
        parts.append(f"tokens {spent.charge.tokens:,}{_limit(limits.tokens)}{held}")
        if spent.charge.cost or limits.money is not None:
            parts.append(f"cost {spent.charge.cost:.4f}{_limit(limits.money)}")
        return parts


def _limit(limit: float | None) -> str:
    return "" if limit is None else f"/{limit:,}"
