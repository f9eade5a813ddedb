"""Non-negative least squares against SciPy's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from engine_bridge.least_squares import non_negative_least_squares


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 12), columns=st.integers(1, 8), kind=st.integers(0, 3))
def test_as_good_as_scipys(seed: int, rows: int, columns: int, kind: int) -> None:
    """No variable is negative and the residual is no larger, also with equal or empty columns and too few rows."""
    rng = np.random.default_rng(seed)
    matrix, target = rng.standard_normal((rows, columns)), rng.standard_normal(rows)
    if kind == 1:
        matrix[:, 0] = matrix[:, -1]
    elif kind == 2:
        matrix[:, 0] = 0
    elif kind == 3:
        matrix = np.abs(matrix)
    found = non_negative_least_squares(matrix, target)
    assert found.min() >= 0
    best = np.linalg.norm(matrix @ nnls(matrix, target)[0] - target)
    assert np.linalg.norm(matrix @ found - target) <= best + 1e-8
