"""The problem that tests of records are made on is sound itself."""

from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from problems.base import Instance
from tests.problems.counter import Counter

PROBLEM = Counter()


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 20)), min_size=1, max_size=5), st.integers(0, 10))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_bound_holds(customers: list[tuple[int, int]], opens: int) -> None:
    """No order of service costs less than the bound."""
    service, arrived = (np.array(values) for values in zip(*customers, strict=True))
    instance = Instance("small", {"service": service, "arrived": arrived, "opens": np.array(opens)})
    costs = [PROBLEM.cost(instance, np.array(order)) for order in permutations(range(len(customers)))]
    assert PROBLEM.bound(instance).value <= min(costs)


def test_the_bound_is_met_where_nobody_waits() -> None:
    """Customers who come one after another wait for nobody."""
    instance = Instance("sparse", {"service": np.array([2, 3]), "arrived": np.array([0, 9]), "opens": np.array(0)})
    assert PROBLEM.bound(instance).value == PROBLEM.cost(instance, np.array([0, 1])) == 5
