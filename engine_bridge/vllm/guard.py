"""Between a scheduler and a policy that may fail: every question gets a checked answer, or none."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from engine_bridge.policy import Array, InvalidAnswer, Policy, View, check_answer
from engine_bridge.vllm.metrics import Metrics

QUIET_SECONDS = 60.0
"""The same complaint is logged once in this time."""

INVALID = "invalid_answer"


class NoAnswer(InvalidAnswer):
    """A question found no answer; `reason` is a short word for it, which metrics show."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class ServedPolicy(Policy, Protocol):
    """A policy that a running engine asks; `ask` raises `InvalidAnswer`, whatever happens to it, and nothing else."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The vectors of the view that it is shown, of `VECTOR_NAMES` and in their order; the rows of `vectors`."""

    @property
    def scalars(self) -> tuple[str, ...]:
        """The numbers of the view that it may read, of `SCALAR_NAMES`."""

    @property
    def restarts(self) -> int:
        """How often its process was started anew."""

    @property
    def active(self) -> bool:
        """Whether it is worth asking."""

    def post(self, function: str, view: View) -> None:
        """Put a question whose answer `collect` gives; nothing else may be asked until then."""

    def collect(self, function: str) -> Array:
        """The answer to what was posted."""

    def close(self) -> None:
        """End what it has started."""


class Complaints:
    """A log that says each kind of thing once in `QUIET_SECONDS`, and how often it was not said."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._last: dict[str, float] = {}
        self._more: dict[str, int] = {}

    def add(self, kind: str, text: str) -> None:
        """Log `text`, unless something of this kind was logged a moment ago."""
        now = time.monotonic()
        if now - self._last.get(kind, -QUIET_SECONDS) < QUIET_SECONDS:
            self._more[kind] = self._more.get(kind, 0) + 1
            return
        self._last[kind] = now
        more = self._more.pop(kind, 0)
        self._log.warning("scheduling policy: %s%s", text, f" ({more} more like it since the last)" if more else "")


class Guard:
    """Asks a policy and never fails."""

    def __init__(self, policy: ServedPolicy, metrics: Metrics, log: logging.Logger) -> None:
        self.policy = policy
        self._metrics = metrics
        self._complaints = Complaints(log)
        self._restarts = policy.restarts
        self.asked = 0
        """Questions so far."""

    def active(self) -> bool:
        """Whether questions make sense now."""
        active = self.policy.active
        self._metrics.active(active)
        return active

    def ask(self, function: str, view: View) -> Array | None:
        """The checked answer (`check_answer`), or None: the step does without."""
        return self._answer(function, view, lambda: self.policy.ask(function, view))

    def post(self, function: str, view: View) -> bool:
        """Put a question whose answer `collect` gives; whether that could be done."""
        try:
            self.policy.post(function, view)
        except InvalidAnswer as error:
            self._fall_back(function, error)
            return False
        return True

    def collect(self, function: str, view: View) -> Array | None:
        """The checked answer to what was posted, or None: the step does without."""
        return self._answer(function, view, lambda: self.policy.collect(function))

    def _answer(self, function: str, view: View, get: Callable[[], Array]) -> Array | None:
        self.asked += 1
        try:
            answer = check_answer(function, get(), view)
        except InvalidAnswer as error:
            self._fall_back(function, error)
            return None
        if self.policy.restarts != self._restarts:
            self._count_restarts()
        self._metrics.answered(function)
        return answer

    def _fall_back(self, function: str, error: InvalidAnswer) -> None:
        """Count a question without an answer and say why."""
        self._count_restarts()
        reason = error.reason if isinstance(error, NoAnswer) else INVALID
        self._metrics.fell_back(function, reason)
        self._complaints.add(f"{function} {reason}", f"{error}; first come, first served in this step")

    def _count_restarts(self) -> None:
        self._metrics.restarts.inc(self.policy.restarts - self._restarts)
        self._restarts = self.policy.restarts
