import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.gaps import aggregate, by_class


def test_ratio_of_sums_is_not_the_mean_of_ratios() -> None:
    """A tiny optimum dominates the mean of ratios and hardly moves the ratio of sums."""
    gaps = aggregate([4.0, 110.0, 100.0], [2.0, 100.0, 100.0])
    assert gaps.ratio_gap_pct == pytest.approx(100 * (214 / 202 - 1))
    assert gaps.mean_gap_pct == pytest.approx((100 + 10 + 0) / 3)
    assert gaps.median_gap_pct == pytest.approx(10)


def test_zero_bounds_are_counted_and_kept_out_of_the_ratios() -> None:
    """An instance with bound 0 enters the ratio of sums by its cost, the mean not at all, and is counted if missed."""
    gaps = aggregate([0.0, 5.0, 12.0], [0.0, 0.0, 10.0])
    assert gaps.zero_bound_missed == 1
    assert gaps.ratio_gap_pct == pytest.approx(70)
    assert gaps.mean_gap_pct == pytest.approx(20)


def test_all_zero_bounds_have_no_ratio() -> None:
    """No ratio is invented where every bound is zero."""
    gaps = aggregate([0.0, 1.0], [0.0, 0.0])
    assert (gaps.ratio_gap_pct, gaps.mean_gap_pct, gaps.median_gap_pct) == (None, None, None)


def test_an_instance_counts_in_each_of_its_classes() -> None:
    """Classes may overlap; each is aggregated by itself."""
    classes = by_class([11.0, 30.0], [10.0, 20.0], [("a", "all"), ("b", "all")])
    assert list(classes) == ["a", "b", "all"]
    assert classes["a"].ratio_gap_pct == pytest.approx(10)
    assert classes["b"].ratio_gap_pct == pytest.approx(50)
    assert classes["all"] == aggregate([11.0, 30.0], [10.0, 20.0])


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1))
def test_gaps_are_never_negative_above_the_bounds(pairs: list[tuple[float, float]]) -> None:
    """If no cost is below its bound, no gap is negative (up to rounding)."""
    bounds = [bound for bound, _ in pairs]
    gaps = aggregate([bound + extra for bound, extra in pairs], bounds)
    for gap in (gaps.ratio_gap_pct, gaps.mean_gap_pct, gaps.median_gap_pct):
        assert gap is None or gap >= -1e-9
