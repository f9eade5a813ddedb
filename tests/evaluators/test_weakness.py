import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.weakness import ahead, losses, worst_instance

BOUNDS = (10.0, 10.0, 100.0, 100.0)
CLASSES = (("small", "hard"), ("small",), ("large", "hard"), ("large",))


def test_the_class_that_loses_more_than_its_size_explains_comes_first() -> None:
    """Gaps are ratios of sums; shares are of the whole excess; the rival's gap stands beside."""
    found = losses((12.0, 11.0, 130.0, 107.0), (11.0, 11.0, 110.0, 110.0), BOUNDS, CLASSES)
    assert [loss.name for loss in found] == ["large", "hard", "small"]
    large = found[0]
    assert large.gap == pytest.approx(18.5)
    assert large.rival_gap == pytest.approx(10)
    assert large.share == pytest.approx(100 * 37 / 40)


def test_a_class_that_is_everything_says_nothing() -> None:
    """Nor does a class whose bounds are all zero, and who loses nothing has no weakness."""
    assert losses((11.0, 12.0), None, (10.0, 10.0), (("all",), ("all",))) == []
    assert [loss.name for loss in losses((11.0, 1.0), None, (10.0, 0.0), (("a",), ("b",)))] == ["a"]
    assert losses(BOUNDS, None, BOUNDS, CLASSES) == []
    assert worst_instance(BOUNDS, BOUNDS) is None


def test_the_costliest_instance_is_the_one_with_the_most_excess() -> None:
    """Excess in cost, not in percent: that is what a ratio of sums is made of."""
    assert worst_instance((15.0, 10.0, 100.0, 106.0), BOUNDS) == 3


COSTS = st.lists(st.floats(1, 5), min_size=4, max_size=4)


@given(ours=COSTS, theirs=COSTS)
def test_nobody_is_ahead_of_who_is_ahead(ours: list[float], theirs: list[float]) -> None:
    """Of two heuristics at most one is ahead in a class, always by what is said."""
    first = [factor * bound for factor, bound in zip(ours, BOUNDS, strict=True)]
    second = [factor * bound for factor, bound in zip(theirs, BOUNDS, strict=True)]
    mine, yours = ahead(first, second, BOUNDS, CLASSES), ahead(second, first, BOUNDS, CLASSES)
    assert len(mine) <= 3
    assert not {loss.name for loss in mine} & {loss.name for loss in yours}
    assert all(loss.rival_gap is not None and loss.gap < loss.rival_gap for loss in (*mine, *yours))
