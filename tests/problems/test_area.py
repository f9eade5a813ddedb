"""The mean-busy-time area bound against a linear program and against schedules that share nothing with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from problems.area import area_bound

JOBS = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 6)), min_size=1, max_size=6)


def fluid_optimum(release: list[int], area: list[int], rate: int) -> float:
    """min Σ_i Σ_t centre(t)·use(i, t)/area_i as a transportation program over time slots of length 1/rate.

    With whole releases and areas, some optimal preemptive schedule changes at multiples of 1/rate only.
    """
    n, slots = len(release), (max(release) * rate + sum(area))
    centre = (np.arange(slots) + 0.5) / rate
    cost = (centre[None, :] / np.array(area)[:, None]).ravel()
    upper = [(0.0, 1.0 if slot >= release[i] * rate else 0.0) for i in range(n) for slot in range(slots)]
    capacity = np.tile(np.eye(slots), n)
    demand = np.kron(np.eye(n), np.ones(slots))
    answer = linprog(cost, A_ub=capacity, b_ub=np.ones(slots), A_eq=demand, b_eq=area, bounds=upper, method="highs")
    assert answer.status == 0
    return float(answer.fun)


@settings(max_examples=60, deadline=None)
@given(JOBS, st.integers(1, 3))
def test_equals_the_optimum_of_the_fluid_relaxation(jobs: list[tuple[int, int]], rate: int) -> None:
    """The greedy fluid schedule is optimal: it attains the minimum of a linear program built independently."""
    release, area = [job[0] for job in jobs], [job[1] for job in jobs]
    bound = area_bound(np.array(release), np.array(area), rate, np.zeros(len(jobs)))
    assert bound == pytest.approx(fluid_optimum(release, area, rate), rel=1e-7)


@settings(max_examples=150, deadline=None)
@given(JOBS, st.integers(6, 9), st.permutations(range(6)))
def test_never_exceeds_a_schedule_that_shares_the_resource(
    jobs: list[tuple[int, int]], rate: int, order: list[int]
) -> None:
    """Jobs that hold `width` units for three steps, list-scheduled in any order, cost at least the bound."""
    release, width = [job[0] for job in jobs], [job[1] for job in jobs]
    held = np.zeros(200, dtype=int)
    completions = {}
    for i in [job for job in order if job < len(jobs)]:
        start = next(k for k in range(release[i], 200) if held[k : k + 3].max() + width[i] <= rate)
        held[start : start + 3] += width[i]
        completions[i] = start + 3
    area = 3 * np.array(width)
    bound = area_bound(np.array(release), area, rate, np.full(len(jobs), 1.5))
    assert bound <= sum(completions.values()) + 1e-9


def test_known_values() -> None:
    """One machine, a long job overtaken by a short one: mean busy times by hand; none for no jobs."""
    # the long one runs in [0, 1] and [2, 5]: (½·1 + 3½·3)/4; the short one in [1, 2]
    assert area_bound(np.array([0, 1]), np.array([4, 1]), 1, np.array([0, 0])) == pytest.approx(2.75 + 1.5)
    assert area_bound(np.array([3]), np.array([10]), 5, np.array([0.25])) == pytest.approx(3 + 1 + 0.25)
    assert area_bound(np.array([]), np.array([]), 5, np.array([])) == 0


def test_refuses_what_has_no_bound() -> None:
    """An area or rate of zero, lengths that differ and infinities are named, not turned into a number."""
    one = np.array([1.0])
    with pytest.raises(ValueError, match="area of job 0 is 0"):
        area_bound(one, np.array([0.0]), 1, one)
    with pytest.raises(ValueError, match="rate is 0"):
        area_bound(one, one, 0, one)
    with pytest.raises(ValueError, match="differ in shape"):
        area_bound(one, np.array([1.0, 2.0]), 1, one)
    with pytest.raises(ValueError, match="finite"):
        area_bound(np.array([np.inf]), one, 1, one)
