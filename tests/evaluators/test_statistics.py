import numpy as np
import pytest

from evaluators.statistics import Median, compare, median_of


def test_counts_and_difference() -> None:
    """Wins, ties and losses are counted per instance; the difference is in points of the ratio gap."""
    result = compare([9.0, 10.0, 12.0], [10.0, 10.0, 10.0], [5.0, 5.0, 10.0], "rival")
    assert (result.wins, result.ties, result.losses) == (1, 1, 1)
    assert result.difference_pct == pytest.approx(5)


def test_a_clear_improvement_is_significant_and_its_interval_excludes_zero() -> None:
    """100 instances improved by 1 to 2 % each: tiny p, interval below zero and around the difference."""
    rng = np.random.default_rng(1)
    bounds = rng.uniform(100, 1000, 100)
    rival = bounds * 1.05
    ours = rival - bounds * rng.uniform(0.01, 0.02, 100)
    result = compare(list(ours), list(rival), list(bounds), "rival")
    assert result.wilcoxon_p is not None and result.wilcoxon_p < 1e-10
    assert result.low is not None and result.high is not None and result.difference_pct is not None
    assert result.low < result.difference_pct < result.high < 0


def test_equal_costs_have_no_p_value() -> None:
    """Nothing is claimed where nothing differs."""
    result = compare([1.0, 2.0], [1.0, 2.0], [1.0, 1.0], "rival")
    assert result.wilcoxon_p is None
    assert (result.difference_pct, result.low, result.high) == (0, 0, 0)


def test_noise_is_not_significant_most_of_the_time() -> None:
    """With no true difference p < .05 in about one of twenty comparisons (200 tried)."""
    rng = np.random.default_rng(2)
    bounds = np.full(60, 100.0)
    hits = 0
    for _ in range(200):
        p = compare(
            list(bounds + rng.normal(10, 1, 60)), list(bounds + rng.normal(10, 1, 60)), list(bounds), "r"
        ).wilcoxon_p
        hits += p is not None and p < 0.05
    assert 1 <= hits <= 25


def test_the_interval_of_a_median_lies_within_the_values_and_around_it() -> None:
    """Of one value it is a point; of many like ones it is narrow; without any there is none."""
    assert median_of([3.0]) == Median(3.0, 3.0, 3.0)
    few = median_of([1.0, 2.0, 10.0])
    assert (few.value, few.low, few.high) == (2.0, 1.0, 10.0)
    many = median_of(list(np.random.default_rng(3).normal(5, 1, 400)))
    assert many.low < many.value < many.high and many.high - many.low < 0.5
    with pytest.raises(ValueError, match="no median"):
        median_of([])
