"""A problem whose own code is checked: what it raises or returns wrongly is named as the problem's fault."""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from problems.base import (
    Array,
    Ask,
    Bound,
    Instance,
    InstanceError,
    InvalidDecision,
    Problem,
    ProblemError,
    Unanswered,
    digest,
)


class Checked:
    """Stands in for a problem: the same attributes, its methods guarded.

    Raises:
        ProblemError: from any method; the message names the problem, the method and the line.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def __getattr__(self, name: str) -> object:
        return getattr(self._problem, name)

    def split(self, name: str) -> Sequence[Instance]:
        """The split, which must hold at least one instance."""
        with self._guard(f"split('{name}')"):
            instances = list(self._problem.split(name))
            digest(instances)  # fails unless the arrays are arrays
        if not instances:
            raise ProblemError(f"problem '{self._problem.name}': split('{name}') holds no instance")
        return instances

    def parse(self, record: Mapping[str, object], name: str) -> Instance:
        """A user's own instance."""
        with self._guard(f"parse() of {name}"):
            return self._problem.parse(record, name)

    def decide(self, instance: Instance, ask: Ask) -> Array:
        """The decision of a heuristic with the entry function alone."""
        return self.decide_with(instance, ask, frozenset((self._problem.entry.function,)))

    def decide_with(self, instance: Instance, ask: Ask, functions: frozenset[str]) -> Array:
        """The decision, an array; questions that get no answer end it as they must."""
        with self._guard(f"decide() of {instance.name}"):
            decision = self._problem.decide_with(instance, ask, functions)
            if not isinstance(decision, np.ndarray):
                raise TypeError(f"expected an array, got {type(decision).__name__}")
        return decision

    def cost(self, instance: Instance, decision: Array) -> float:
        """The cost, a finite number."""
        with self._guard(f"cost() of {instance.name}"):
            cost = float(self._problem.cost(instance, decision))
        if not math.isfinite(cost):
            raise ProblemError(f"problem '{self._problem.name}': cost() of {instance.name} is {cost}")
        return cost

    def bound(self, instance: Instance) -> Bound:
        """The bound, well formed."""
        with self._guard(f"bound() of {instance.name}"):
            bound = self._problem.bound(instance)
            if not isinstance(bound, Bound):
                raise TypeError(f"expected a Bound, got {type(bound).__name__}")
        return bound

    def check(self, instance: Instance, decision: Array) -> None:
        """The check of a decision."""
        with self._guard(f"check() of {instance.name}"):
            self._problem.check(instance, decision)

    def reports(self, instance: Instance, decision: Array) -> Mapping[str, float]:
        """The figures beside the cost."""
        with self._guard(f"reports() of {instance.name}"):
            return {name: float(value) for name, value in self._problem.reports(instance, decision).items()}

    @contextmanager
    def _guard(self, what: str) -> Iterator[None]:
        try:
            yield
        except (InstanceError, InvalidDecision, ProblemError, Unanswered):
            raise
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            raise ProblemError(
                f"problem '{self._problem.name}': {what} failed: {type(error).__name__}: {error}"
                f" ({frame.filename.rpartition('/')[2]}, line {frame.lineno})"
            ) from error
