"""Is one heuristic better than another, instance by instance?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

Vector = np.ndarray[tuple[int], np.dtype[np.float64]]

LEVEL = 0.95
CHUNK = 2_000
"""Resamples made at once."""
IN_BOTH_TAILS = 100
"""Resamples that an interval leaves out: its ends must not hang on a few of them."""
MOST = 400_000
"""Resamples at most."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A heuristic against a rival on the same instances.

    difference_pct: ratio gap minus the rival's, in percentage points (negative: better than the rival), with
    `low` and `high`, its paired bootstrap interval of confidence `level`; wilcoxon_p: two-sided signed-rank test on the
    costs, None if they never differ. The difference is None where every bound is zero.
    """

    rival: str
    wins: int
    ties: int
    losses: int
    difference_pct: float | None
    low: float | None
    high: float | None
    wilcoxon_p: float | None
    level: float = LEVEL


def compare(
    costs: Sequence[float],
    rival_costs: Sequence[float],
    bounds: Sequence[float],
    rival: str,
    *,
    level: float = LEVEL,
) -> Comparison:
    """Compare paired costs; instances are resampled with a fixed seed (percentile interval).

    2,000 times for a confidence `level` of .95; more often for a higher one.
    """
    ours, theirs, bound = (np.asarray(values, dtype=np.float64) for values in (costs, rival_costs, bounds))
    difference = ours - theirs
    middle = low = high = None
    if bound.sum() > 0:
        middle = float(100 * difference.sum() / bound.sum())
        sampled = np.concatenate(list(_resampled(difference, bound, level)))
        tail = round((1 - level) / 2, 12)  # .025 and not a little more: what was recorded before comes out again
        low, high = (float(value) for value in np.quantile(sampled, (tail, 1 - tail)))
    return Comparison(
        rival=rival,
        wins=int((difference < 0).sum()),
        ties=int((difference == 0).sum()),
        losses=int((difference > 0).sum()),
        difference_pct=middle,
        low=low,
        high=high,
        wilcoxon_p=_wilcoxon(difference),
        level=level,
    )


def _resampled(difference: Vector, bound: Vector, level: float) -> Iterator[Vector]:
    """Differences in percentage points over instances drawn with replacement."""
    rng = np.random.default_rng(0)
    for _ in range(min(max(round(IN_BOTH_TAILS / (1 - level)), CHUNK), MOST) // CHUNK):
        rows = rng.integers(0, len(bound), size=(CHUNK, len(bound)))
        totals = bound[rows].sum(axis=1)
        usable = totals > 0
        yield 100 * difference[rows].sum(axis=1)[usable] / totals[usable]


def _wilcoxon(difference: Vector) -> float | None:
    if not difference.any():
        return None
    from scipy.stats import wilcoxon  # 0.5 s to import: only where a p-value is made

    return float(wilcoxon(difference).pvalue)


@dataclass(frozen=True, slots=True)
class Median:
    """A median with its bootstrap interval of confidence `level`."""

    value: float
    low: float
    high: float
    level: float = LEVEL


def median_of(values: Sequence[float]) -> Median:
    """The median of one figure a run, over runs; values are resampled with a fixed seed (percentile interval).

    Of few values the interval is not much narrower than their range, and of one it is a point: it knows of no others.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("there is no value, so there is no median")
    found = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(0).integers(0, len(found), size=(5 * CHUNK, len(found)))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(np.median(found[drawn], axis=1), (tail, 1 - tail), method="nearest")
    return Median(float(np.median(found)), float(low), float(high))
