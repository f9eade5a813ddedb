"""Non-negative least squares in NumPy alone, so that a GPU machine without SciPy can calibrate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TOLERANCE = 1e-12
"""Of the gradient, relative to the largest |aᵀb|: below it nothing is gained."""


def non_negative_least_squares(matrix: Array, target: Array) -> Array:
    """argmin |matrix · x − target| over x ≥ 0; shapes (m, n) and (m,) → (n,).

    By active sets (Lawson & Hanson 1974, Solving Least Squares Problems, ch. 23): the variable that would gain most
    is set free until none gains; one that a free solution makes negative is put back to 0 on the way there.
    """
    count = matrix.shape[1]
    found, free = np.zeros(count), np.zeros(count, dtype=np.bool_)
    tolerance = TOLERANCE * float(np.abs(matrix.T @ target).max(initial=0.0))
    for _ in range(10 * count):
        gain = matrix.T @ (target - matrix @ found)
        gain[free] = -np.inf
        if not count or gain.max() <= tolerance:
            break
        free[int(gain.argmax())] = True
        found = _towards(matrix, target, found, free)
    return found


def _towards(matrix: Array, target: Array, found: Array, free: Array) -> Array:
    """From `found` to the least squares of the free variables; `free` loses those that would be negative there."""
    while free.any():
        best = np.zeros_like(found)
        best[free] = np.linalg.lstsq(matrix[:, free], target, rcond=None)[0]
        if best.min() >= 0:
            return best
        negative = best < 0
        steps = found[negative] / (found[negative] - best[negative])
        found = np.maximum(found + steps.min() * (best - found), 0.0)
        free &= ~(negative & (found <= 0)) & ~_first(negative, steps)
        found[~free] = 0.0
    return np.zeros_like(found)


def _first(negative: Array, steps: Array) -> Array:
    """The variable that reaches 0 first; by rounding it may not be exactly there."""
    first = np.zeros_like(negative)
    first[np.flatnonzero(negative)[int(steps.argmin())]] = True
    return first
