"""A problem whose own code is checked: what it raises or returns wrongly is named as the problem's fault."""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from problems.base import Array, Bound, Instance, InstanceError, InvalidDecision, Problem, ProblemError, digest


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

    @contextmanager
    def _guard(self, what: str) -> Iterator[None]:
        try:
            yield
        except (InstanceError, InvalidDecision, ProblemError):
            raise
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            raise ProblemError(
                f"problem '{self._problem.name}': {what} failed: {type(error).__name__}: {error}"
                f" ({frame.filename.rpartition('/')[2]}, line {frame.lineno})"
            ) from error
