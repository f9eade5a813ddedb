"""What a scheduler tells Prometheus, beside vLLM's own figures.

The counters live in the process of vLLM's engine. They reach the server's `/metrics` where `PROMETHEUS_MULTIPROC_DIR`
names a folder, as vLLM arranges by itself for several API servers, or where engine and server share a process.
"""

from __future__ import annotations

from functools import cache
from typing import Any

BUCKETS = (2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.5)
"""Upper ends in seconds."""


@cache
def collectors() -> tuple[Any, ...]:
    """The metrics themselves, which a process may register once only."""
    from prometheus_client import Counter, Gauge, Histogram

    name = "scheduling_policy_"
    return (
        Counter(name + "answers", "Answers of the scheduling policy carried out.", ["engine", "function"]),
        Counter(name + "fallbacks", "Questions that vLLM's own way answered.", ["engine", "function", "reason"]),
        Counter(name + "restarts", "Fresh starts of the policy's process after a fault.", ["engine"]),
        Gauge(
            name + "active",
            "1 while the policy is asked, 0 while vLLM schedules alone.",
            ["engine"],
            multiprocess_mode="mostrecent",
        ),
        Histogram(name + "hook_seconds", "Time a step spends on the policy.", ["engine"], buckets=BUCKETS),
    )


class Metrics:
    """The metrics of one engine; `engine` is its number, 0 unless there are several."""

    def __init__(self, engine: int = 0) -> None:
        answers, fallbacks, restarts, active, hook_seconds = collectors()
        label = str(engine)
        self._answers, self._fallbacks = answers, fallbacks
        self._label = label
        self._of_function: dict[str, Any] = {}
        self.restarts = restarts.labels(label)
        self._active = active.labels(label)
        self._was_active: bool | None = None
        self._hook = hook_seconds.labels(label)

    def answered(self, function: str) -> None:
        """Count an answer that is carried out."""
        if function not in self._of_function:
            self._of_function[function] = self._answers.labels(self._label, function)
        self._of_function[function].inc()

    def fell_back(self, function: str, reason: str) -> None:
        """Count a question that goes without an answer."""
        self._fallbacks.labels(self._label, function, reason).inc()

    def hooked(self, seconds: float) -> None:
        """Note the time of one step's questions and of carrying their answers out."""
        self._hook.observe(seconds)

    def active(self, active: bool) -> None:
        """Note whether the policy is asked."""
        if active is not self._was_active:
            self._active.set(active)
            self._was_active = active
