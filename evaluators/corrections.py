"""Tests that are made more than once: what is left of a p-value when several candidates were tried."""

from __future__ import annotations

from collections.abc import Mapping


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values of a family tested at once, adjusted by Holm's step-down method; each is at most 1.

    An adjusted value below α rejects its hypothesis, and the chance of any false rejection stays below α, however the
    tests depend on each other (Holm, 1979, A simple sequentially rejective multiple test procedure).
    """
    adjusted: dict[str, float] = {}
    highest = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda entry: entry[1])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def spent_on(attempt: int) -> float:
    """Which share of the whole error rate the test number `attempt` (from 1) of an open-ended series may use.

    1/(k(k + 1)): the shares of any number of tests add up to less than 1, so by Bonferroni's inequality the chance of
    any false rejection stays below the whole rate, however many are tried in the end. Holm's method cannot serve here:
    it needs all p-values at once.

    Raises:
        ValueError: `attempt` is below 1.
    """
    if attempt < 1:
        raise ValueError(f"attempt is {attempt}: tests of a series are counted from 1")
    return 1 / (attempt * (attempt + 1))
