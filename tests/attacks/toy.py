"""The problem that attacks are made on: put jobs in order, pay the sum of their completion times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evaluators.evaluate import Allowance
from evaluators.sandbox.limits import Limits
from problems.base import Argument, Array, Bound, Entry, Instance, Problem

TIMES = ((5, 2, 7, 1), (3, 9, 4, 8, 6), (2, 6, 1))
HONEST = """
import heapq, itertools, math, random, time
import numpy as np
def order(p):
    assert random.Random(3).random() < 1 and math.isfinite(time.time()) and sum(sorted(p)) == np.sum(p)
    return np.argsort(p, kind="stable")
"""
"""The shortest first, which is best; it uses what earlier candidates may have spoilt."""


class Toy(Problem):
    """Three small instances."""

    name: ClassVar[str] = "toy"
    entry: ClassVar[Entry] = Entry("order", (Argument("p", "times", sign="positive"),), "an order", "once")
    brief: ClassVar[str] = "Order jobs."

    def split(self, name: str) -> Sequence[Instance]:
        """The same instances for every split."""
        return [Instance(str(i), {"p": np.array(times)}) for i, times in enumerate(TIMES)]

    def cost(self, instance: Instance, decision: Array) -> float:
        """The sum of completion times."""
        return float(np.cumsum(instance["p"][decision]).sum())

    def bound(self, instance: Instance) -> Bound:
        """The cost of the shortest first."""
        value = self.cost(instance, np.argsort(instance["p"]))
        return Bound(value, "optimal", "shortest first", 0.0)


TOY = Toy()
INSTANCES = TOY.split("train")
BEST = tuple(TOY.bound(instance).value for instance in INSTANCES)


@dataclass(frozen=True)
class Quick(Allowance):
    """Limits that a test can afford to reach; by the wall clock, only where nothing else can end the attack."""

    wall_seconds: float = 60.0

    def limits(self, problem: Problem, instances: Sequence[Instance]) -> Limits:
        """The same for any instances."""
        return Limits(cpu_seconds=0.3, wall_seconds=self.wall_seconds, memory_mb=128)
