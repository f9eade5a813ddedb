"""Every bound ≤ the optimum ≤ every heuristic, the optimum found by plain search over start rounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.bounds import load_bounds
from problems.base import Instance
from problems.kv_admission import relaxation
from problems.kv_admission.instances import generate
from problems.kv_admission.ladder import certify, simple_bounds
from problems.kv_admission.mip import hindsight_model, starts_of
from problems.kv_admission.problem import KvAdmission
from problems.kv_admission.relaxation import lagrangian_bound, lp_bound, memory_prices
from problems.kv_admission.search import best_schedule
from problems.mip import solve_model
from tests.problems.kv_admission.plain import NAMES, Asked, held, instances, load, make, optimum

PROBLEM = KvAdmission()
RULES = {name: load(name) for name in NAMES}


@settings(max_examples=250, deadline=None)
@given(instances())
def test_simple_bounds_and_heuristics_stand_around_the_optimum(instance: Instance) -> None:
    """Isolated latencies and area never exceed the optimum, and no baseline or search result is below it."""
    least = optimum(instance)
    assert max(simple_bounds(instance).values()) <= least
    assert best_schedule(instance, moves=50)[0] >= least
    for rule in RULES.values():
        decision = PROBLEM.decide(instance, Asked(rule))
        PROBLEM.check(instance, decision)
        assert PROBLEM.cost(instance, decision) >= least


@settings(max_examples=100, deadline=None)
@given(instances(), st.integers(0, 12))
def test_the_linear_program_is_a_bound_for_every_horizon(instance: Instance, horizon: int) -> None:
    """Cutting the horizon short, even before the last arrival, weakens the bound and never breaks it."""
    assert lp_bound(instance, horizon) <= optimum(instance) + 1e-6


@settings(max_examples=100, deadline=None)
@given(instances(), st.lists(st.floats(0, 2), max_size=12))
def test_any_prices_give_a_bound(instance: Instance, prices: list[float]) -> None:
    """The Lagrangian bound holds for arbitrary prices ≥ 0: no tolerance of a solver can make it wrong."""
    assert lagrangian_bound(instance, np.array(prices)) <= optimum(instance) + 1e-6


@settings(max_examples=60, deadline=None)
@given(instances())
def test_the_integer_program_is_the_problem(instance: Instance) -> None:
    """HiGHS's proven optimum on the whole model equals plain search, and its schedule keeps to the memory."""
    span = int(instance["arrival"].max() + instance["output"].sum())
    model = hindsight_model(instance, [np.arange(arrival, span + 1) for arrival in instance["arrival"].tolist()])
    result = solve_model(model, max_nodes=10_000, integral=True)
    assert (result.kind, result.value) == ("optimal", optimum(instance))
    start = starts_of(model, len(instance["prompt"]))
    assert max(held(instance, start.tolist())) <= int(instance["capacity"])


@settings(max_examples=150, deadline=None)
@given(instances())
def test_what_is_called_optimal_is(instance: Instance) -> None:
    """The ladder proves small instances, and its value, its best and plain search agree; a bound never exceeds it."""
    bound = certify(instance)
    assert bound.kind == "optimal"
    assert bound.value == bound.best == optimum(instance)
    assert bound.solution is not None
    start = np.array(bound.solution)
    PROBLEM.check(instance, start)
    assert PROBLEM.cost(instance, start) == bound.best
    assert all(value <= bound.value for name, value in bound.details.items() if name != "nodes")


def test_a_bad_start_of_the_search_is_no_obstacle_to_the_proof() -> None:
    """Reduced-cost fixing leaves out only what costs as much as the best known: proofs hold on harder instances.

    n = 8: the fixed program of the ladder and the whole one, solved to the end, have one optimum.
    """
    instance = generate("test-of-fixing", "small", 10, 2)
    bound = certify(instance)
    span = int(instance["arrival"].max()) + int(bound.best or 0) - int(instance["output"].sum()) + 1
    whole = hindsight_model(instance, [np.arange(arrival, span + 1) for arrival in instance["arrival"].tolist()])
    assert (bound.kind, bound.value) == ("optimal", solve_model(whole, max_nodes=100_000, integral=True).value)


def test_the_order_of_the_ladder_where_memory_is_plenty() -> None:
    """n = 50, all at once: isolated latencies < area < linear program < best known, the last two within 4 %."""
    instance = generate("test-of-ladder", "batch", 50, 0)
    best, start = best_schedule(instance, moves=5000)
    simple, lp = simple_bounds(instance), lp_bound(instance, int(start.max()) + 1)
    assert simple["isolated latencies"] < simple["area"] < lp < best < 1.04 * lp


def test_summing_memory_over_two_rounds_weakens_the_bound_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large programs sum memory over rounds: the bound falls by little, and stays a bound."""
    instance = generate("test-of-width", "conv", 50, 0)
    exact = lp_bound(instance, 80)
    nonzeros = int((np.maximum(80 - instance["arrival"], 0) * instance["output"]).sum())
    monkeypatch.setattr(relaxation, "LARGEST", nonzeros // 2 + 1)
    prices = memory_prices(instance, 80)
    assert (prices[0::2] == prices[1::2]).all()
    assert 0.95 * exact < lagrangian_bound(instance, prices) <= exact + 1e-6


def test_without_prices_the_isolated_latencies_remain() -> None:
    """No prices: every request starts at its arrival and the bound is Σ o."""
    assert lagrangian_bound(make([3, 2], [2, 5], [0, 9], 20), np.zeros(0)) == 7


def test_stored_bounds_are_sound() -> None:
    """Every instance has one; its best solution is a schedule of that cost; no baseline beats what is proved."""
    stored = load_bounds(PROBLEM.bounds)
    for split in PROBLEM.splits:
        for instance in PROBLEM.split(split):
            bound = stored[instance.digest]
            assert bound.best is not None and bound.solution is not None
            assert max(simple_bounds(instance).values()) <= bound.value <= bound.best
            assert (bound.kind == "optimal") == (bound.value == bound.best)
            start = np.array(bound.solution, dtype=np.int64)
            PROBLEM.check(instance, start)
            assert PROBLEM.cost(instance, start) == bound.best
            assert math.isfinite(bound.seconds)


def test_the_best_baseline_is_the_best_on_validation() -> None:
    """And none is better than any stored bound: total latency over the split, and each instance apart."""
    stored = load_bounds(PROBLEM.bounds)
    totals = dict.fromkeys(NAMES, 0.0)
    for instance in PROBLEM.split("validation"):
        for name, rule in RULES.items():
            cost = PROBLEM.cost(instance, PROBLEM.decide(instance, Asked(rule)))
            assert cost >= stored[instance.digest].value
            totals[name] += cost
    assert min(totals, key=lambda name: totals[name]) == PROBLEM.best_baseline
