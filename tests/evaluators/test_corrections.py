import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.corrections import holm, spent_on

P_VALUES = st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8)


def test_holm_on_a_worked_example() -> None:
    """Sorted p-values times 4, 3, 2, 1, none below the one before it: .01 → .04, .02 → .06, .03 → .06, .04 → .06."""
    adjusted = holm({"d": 0.04, "a": 0.01, "c": 0.03, "b": 0.02})
    assert adjusted == pytest.approx({"d": 0.06, "a": 0.04, "c": 0.06, "b": 0.06})


@given(P_VALUES)
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(p_values: dict[str, float]) -> None:
    """Never below the raw p-value, never above Bonferroni's or 1; what was smaller does not become larger."""
    adjusted = holm(p_values)
    assert list(adjusted) == list(p_values)
    for name, p in p_values.items():
        assert p <= adjusted[name] <= min(1.0, len(p_values) * p) + 1e-12
        assert all(adjusted[name] <= adjusted[other] for other, q in p_values.items() if p < q)


@given(st.integers(1, 5000))
def test_the_shares_of_a_series_never_add_up_to_the_whole_rate(trials: int) -> None:
    """However many candidates are tried, Bonferroni's inequality holds; each trial gets less than the one before."""
    shares = [spent_on(attempt) for attempt in range(1, trials + 1)]
    assert sum(shares) < 1
    assert shares == sorted(shares, reverse=True)


def test_trials_are_counted_from_one() -> None:
    """A number that would divide by zero, or spend all, is refused."""
    with pytest.raises(ValueError, match="counted from 1"):
        spent_on(0)
