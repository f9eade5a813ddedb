"""A small interactive problem with two records, for tests: whom to serve next at a counter."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from problems.base import (
    Argument,
    Array,
    Ask,
    Bound,
    Entry,
    Instance,
    Problem,
    Record,
    check_scores,
)

CUSTOMERS = 10


class Counter(Problem):
    """Customers arrive over time and are served one at a time, without breaks: 1 | r_j | Σ (C_j − r_j)."""

    name: ClassVar[str] = "counter"
    entry: ClassVar[Entry] = Entry(
        "priority",
        (
            Record(
                "customers",
                "those who wait",
                (
                    Argument("service", "time it takes to serve them", sign="positive"),
                    Argument("waited", "time they have waited", sign="nonnegative"),
                ),
            ),
            Record(
                "state",
                "the counter",
                (
                    Argument("now", "time since it was opened", "scalar", "nonnegative"),
                    Argument("served", "number of customers served", "scalar", "nonnegative"),
                ),
            ),
        ),
        returns="one score per customer who waits; the lowest is served next",
        driver="interactive",
    )
    brief: ClassVar[str] = "One counter. Minimise the sum over all customers of completion time minus arrival time."
    baselines: ClassVar[Path | None] = Path(__file__).parent / "counter_baselines"
    best_baseline: ClassVar[str | None] = "shortest"
    seeds: ClassVar[tuple[str, ...]] = ("fcfs",)
    instance_fields: ClassVar[tuple[str, ...]] = ("service", "arrived")
    instance_scalars: ClassVar[tuple[str, ...]] = ("opens",)

    def split(self, name: str) -> Sequence[Instance]:
        """Four small instances to probe with, eight for anything else."""
        rng = np.random.default_rng(self.splits.index(name))
        return [draw(rng, f"{name}-{i}") for i in range(4 if name == "probe" else 8)]

    def decide(self, instance: Instance, ask: Ask) -> Array:
        """The order of service: whenever the counter is free and several wait, they are scored."""
        service, arrived = instance["service"], instance["arrived"]
        left = np.ones(len(service), dtype=bool)
        order: list[int] = []
        now = int(instance["opens"])
        while left.any():
            now = max(now, int(arrived[left].min()))
            waiting = np.flatnonzero(left & (arrived <= now))
            scores = np.zeros(1)
            if len(waiting) > 1:
                vectors = [service[waiting].astype(float), (now - arrived[waiting]).astype(float)]
                numbers = [np.array(float(now - instance["opens"])), np.array(float(len(order)))]
                scores = ask(self.entry.function, vectors + numbers, records=self.entry.records)
                check_scores(scores, len(waiting))
            chosen = int(waiting[scores.argmin()])
            order.append(chosen)
            left[chosen] = False
            now += int(service[chosen])
        return np.array(order, dtype=np.int64)

    def cost(self, instance: Instance, decision: Array) -> float:
        """Σ (C_j − r_j) when customers are served in this order, each as soon as possible."""
        now, total = int(instance["opens"]), 0
        for j in decision.tolist():
            now = max(now, int(instance["arrived"][j])) + int(instance["service"][j])
            total += now - int(instance["arrived"][j])
        return float(total)

    def bound(self, instance: Instance) -> Bound:
        """The optimum if service could be interrupted: shortest remaining time first (Schrage, 1968)."""
        opens = int(instance["opens"])
        arrivals = sorted(zip(instance["arrived"].tolist(), instance["service"].tolist(), strict=True), reverse=True)
        now, total, waiting = opens, -sum(arrived for arrived, _ in arrivals), list[int]()
        while arrivals or waiting:
            now = now if waiting else max(now, arrivals[-1][0])
            while arrivals and arrivals[-1][0] <= now:
                heapq.heappush(waiting, arrivals.pop()[1])
            remaining = heapq.heappop(waiting)
            step = min(remaining, arrivals[-1][0] - now) if arrivals else remaining
            now += step
            if remaining > step:
                heapq.heappush(waiting, remaining - step)
            else:
                total += now
        return Bound(float(total), "lower", "preemptive relaxation", 0.0)


def draw(rng: np.random.Generator, name: str) -> Instance:
    """An instance in which the counter is busy most of the time."""
    service = rng.integers(1, 20, CUSTOMERS)
    arrived = rng.integers(0, int(service.sum()), CUSTOMERS)
    return Instance(name, {"service": service, "arrived": arrived, "opens": np.array(0)}, ("small",))
