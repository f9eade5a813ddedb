"""Gaps to bounds, aggregated so that instances with tiny optima cannot dominate."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from problems.errors import ProblemError

TOLERANCE = 1e-9
"""How far, relative to max(1, |bound|), rounding may put a cost below its bound."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """How far a heuristic is from the bounds of a set of instances, in percent.

    ratio_gap_pct: 100·(Σcost/Σbound − 1), the primary score; None where every bound is zero.
    mean_gap_pct, median_gap_pct: of 100·(cost/bound − 1) over the instances with bound > 0; None without any.
    zero_bound_missed: instances with bound 0 whose cost is above it.
    """

    instances: int
    ratio_gap_pct: float | None
    mean_gap_pct: float | None
    median_gap_pct: float | None
    zero_bound_missed: int


def aggregate(costs: Sequence[float], bounds: Sequence[float]) -> Gaps:
    """Gaps of paired costs and bounds (cost units); both non-empty and of equal length.

    Raises:
        ProblemError: a cost is below its bound, so that the bound is none.
    """
    for index, (cost, bound) in enumerate(zip(costs, bounds, strict=True)):
        if cost < bound - TOLERANCE * max(1.0, abs(bound)):
            raise ProblemError(
                f"instance {index}: cost {cost:g} is below its bound {bound:g}; the problem's bound or cost is wrong"
            )
    total = sum(bounds)
    single = [100 * (cost / bound - 1) for cost, bound in zip(costs, bounds, strict=True) if bound > 0]
    return Gaps(
        instances=len(costs),
        ratio_gap_pct=100 * (sum(costs) / total - 1) if total > 0 else None,
        mean_gap_pct=statistics.fmean(single) if single else None,
        median_gap_pct=statistics.median(single) if single else None,
        zero_bound_missed=sum(bound == 0 < cost for cost, bound in zip(costs, bounds, strict=True)),
    )


def by_class(costs: Sequence[float], bounds: Sequence[float], classes: Sequence[Sequence[str]]) -> dict[str, Gaps]:
    """Gaps of each class apart; an instance counts in every class it belongs to.

    The first classes of all instances come first, then their second ones, each in order of appearance.
    """
    depth = max(map(len, classes), default=0)
    order = dict.fromkeys(names[level] for level in range(depth) for names in classes if level < len(names))
    members = {name: [index for index, names in enumerate(classes) if name in names] for name in order}
    return {
        name: aggregate([costs[i] for i in indices], [bounds[i] for i in indices]) for name, indices in members.items()
    }
