"""Bounds by HiGHS, on real models: agreement with the exact solver, and no optimum without a proof."""

import math

import numpy as np
import pulp
import pytest

from problems.base import Instance
from problems.mip import MipError, round_up, solve_model
from problems.smtt.exact import solve
from problems.smtt.instances import generate
from problems.smtt.mip import positional_model


def knapsack() -> pulp.LpProblem:
    """A small minimisation that HiGHS does not solve in presolve: −max Σ v_j x_j, two weights, 40 items."""
    rng = np.random.default_rng(1)
    weights, worth = rng.integers(20, 100, (2, 40)).tolist(), rng.integers(20, 100, 40).tolist()
    model = pulp.LpProblem("knapsack", pulp.LpMinimize)
    x = [model.add_variable(f"x_{j}", cat=pulp.LpBinary) for j in range(40)]
    model += pulp.lpSum(-v * x_j for v, x_j in zip(worth, x, strict=True))
    for weight in weights:
        model += pulp.lpSum(w * x_j for w, x_j in zip(weight, x, strict=True)) <= sum(weight) // 2
    return model


@pytest.mark.parametrize(("n", "tf", "rdd"), [(6, 0.6, 0.2), (8, 0.4, 0.6), (10, 0.6, 0.2), (12, 0.8, 0.2)])
def test_total_tardiness_equals_the_exact_solver(n: int, tf: float, rdd: float) -> None:
    """Two solvers that share no code agree on the optimum, and the model's solution has that cost."""
    instance = generate("mip", n, tf, rdd, 0)
    model = positional_model(instance)
    result = solve_model(model, max_nodes=100_000, integral=True)
    assert result.kind == "optimal"
    assert result.value == result.best == solve(instance["p"], instance["d"]).value
    chosen = {v.name: round(v.varValue) for v in model.variables()}
    order = [next(j for j in range(n) if chosen[f"u_{j}_{k}"]) for k in range(n)]
    completion = np.cumsum(instance["p"][order])
    assert int(np.maximum(completion - instance["d"][order], 0).sum()) == result.value


def test_ties_zeros_and_negative_due_dates() -> None:
    """The oracle covers the corners that brute force covers: p = 0, equal jobs, d < 0."""
    instance = Instance("corners", {"p": np.array([0, 3, 3, 5, 0]), "d": np.array([-4, 2, 2, 2, 7])})
    result = solve_model(positional_model(instance), max_nodes=10_000, integral=True)
    assert result.value == solve(instance["p"], instance["d"]).value


def test_an_incumbent_at_a_limit_is_not_optimal() -> None:
    """Stopped at a node limit with a solution in hand, the result is a lower bound: the trap in PuLP's status."""
    optimum = solve_model(knapsack(), max_nodes=1_000_000, integral=True)
    assert optimum.kind == "optimal"
    assert optimum.nodes > 1
    stopped = solve_model(knapsack(), max_nodes=1, integral=True)
    assert stopped.kind == "lower"
    assert stopped.best is not None
    assert stopped.value <= optimum.value <= stopped.best
    assert stopped.value < stopped.best


def test_no_solution_yet() -> None:
    """Without an incumbent, `best` is None and the bound still holds."""
    instance = generate("mip", 30, 0.6, 0.2, 0)
    result = solve_model(positional_model(instance), max_nodes=0, integral=True)
    assert result.kind == "lower"
    assert result.value <= solve(instance["p"], instance["d"]).value
    assert result.best is None or result.best >= result.value


def test_results_are_reproducible() -> None:
    """Limits count nodes, so a stopped run gives the same bound every time."""
    first, second = (solve_model(knapsack(), max_nodes=5, integral=True) for _ in range(2))
    assert (first.value, first.best, first.nodes) == (second.value, second.best, second.nodes)


def test_a_constant_in_the_objective_counts() -> None:
    """PuLP keeps the constant from HiGHS; it is added to the bound and to the cost. A linear program works too."""
    model = pulp.LpProblem("constant", pulp.LpMinimize)
    x = model.add_variable("x", lowBound=1.5)
    model += 2 * x + 10
    result = solve_model(model, max_nodes=10)
    assert (result.kind, result.value, result.best) == ("optimal", pytest.approx(13.0), pytest.approx(13.0))


def test_only_integral_costs_are_rounded() -> None:
    """A dual bound is lowered by the tolerance, then rounded up only if the caller says costs are integers."""
    assert round_up(41.2, True) == 42
    assert round_up(42.0000001, True) == 42
    assert round_up(41.2, False) == pytest.approx(41.2, rel=1e-5)
    assert round_up(41.2, False) < 41.2
    assert round_up(-math.inf, True) == round_up(math.inf, False) == -math.inf


def test_models_without_a_minimum_are_refused() -> None:
    """Infeasible and unbounded models raise with HiGHS's status; maximisation is refused with the remedy."""
    infeasible = pulp.LpProblem("never", pulp.LpMinimize)
    x = infeasible.add_variable("x", lowBound=0, upBound=1, cat=pulp.LpInteger)
    infeasible += x
    infeasible += x >= 2
    with pytest.raises(MipError, match="'never' has no bound: HiGHS ended with 'Infeasible'"):
        solve_model(infeasible, max_nodes=10)
    unbounded = pulp.LpProblem("endless", pulp.LpMinimize)
    unbounded += unbounded.add_variable("x")
    with pytest.raises(MipError, match="'endless'"):
        solve_model(unbounded, max_nodes=10)
    with pytest.raises(ValueError, match="negate"):
        solve_model(pulp.LpProblem("most", pulp.LpMaximize), max_nodes=10)
    with pytest.raises(ValueError, match="max_nodes is -1"):
        solve_model(knapsack(), max_nodes=-1)
