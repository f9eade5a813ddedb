"""Bounds from mixed-integer programs: any PuLP minimisation, solved by HiGHS in this process."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Literal

import highspy
import pulp

TOLERANCE = 1e-6
"""How far, relative to max(1, |bound|), a dual bound may overshoot: HiGHS's own feasibility tolerance."""


class MipError(RuntimeError):
    """HiGHS ended without a bound; the message names the model and HiGHS's status."""


@dataclass(frozen=True, slots=True)
class MipResult:
    """What HiGHS proved about a minimisation.

    `value` is the optimum if `kind` is "optimal", otherwise a lower bound on it (−inf if there is none yet).
    `best` is the cost of the best solution found, or None; `seconds` is CPU time.
    """

    value: float
    kind: Literal["optimal", "lower"]
    best: float | None
    nodes: int
    seconds: float


def solve_model(model: pulp.LpProblem, *, max_nodes: int, integral: bool = False) -> MipResult:
    """Minimise `model` with HiGHS on one thread, without gap tolerances and without a time limit.

    The status is HiGHS's own: PuLP reports an incumbent at a time limit as optimal, and does not know what HiGHS
    reports at a node limit. The best solution, if any, is left in the variables of the model (`varValue`).

    Args:
        model: a PuLP problem whose sense is minimisation.
        max_nodes: limit on branch-and-bound nodes; counting nodes, not seconds, keeps the result reproducible.
        integral: every feasible solution has an integer cost, so a lower bound may be rounded up.

    Raises:
        ValueError: the model maximises, or has no objective, or `max_nodes` is negative.
        MipError: the model is infeasible or unbounded, or HiGHS failed.
    """
    if model.sense != pulp.LpMinimize or model.objective is None:
        raise ValueError(f"model '{model.name}' must minimise an objective; negate one that is to be maximised")
    if max_nodes < 0:
        raise ValueError(f"max_nodes is {max_nodes}; it must be at least 0")
    began = time.process_time()
    solver = pulp.HiGHS(msg=False, threads=1, gapRel=0, gapAbs=0, mip_max_nodes=max_nodes, parallel="off")
    solver.createAndConfigureSolver(model)
    solver.buildSolverModel(model)
    solver.callSolver(model)
    highs = model.solverModel
    seconds = time.process_time() - began
    status, info = highs.getModelStatus(), highs.getInfo()
    if status not in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kSolutionLimit):
        raise MipError(f"model '{model.name}' has no bound: HiGHS ended with '{highs.modelStatusToString(status)}'")
    best = None
    if info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible:
        values = highs.getSolution().col_value
        for variable in model.variables():
            variable.varValue = values[variable.index]
        best = tidy(info.objective_function_value + model.objective.constant, integral)
    nodes = max(0, int(info.mip_node_count))  # −1 for a linear program
    if status == highspy.HighsModelStatus.kOptimal:
        assert best is not None
        return MipResult(best, "optimal", best, nodes, seconds)
    bound = round_up(info.mip_dual_bound + model.objective.constant, integral)
    return MipResult(bound, "lower", best, nodes, seconds)


def tidy(cost: float, integral: bool) -> float:
    """A cost without the solver's rounding noise, if it is known to be an integer."""
    return float(round(cost)) if integral else cost


def round_up(bound: float, integral: bool) -> float:
    """A dual bound less the solver's tolerance, and the next integer if the cost is one."""
    if not math.isfinite(bound):
        return -math.inf
    safe = bound - TOLERANCE * max(1.0, abs(bound))
    return float(math.ceil(safe)) if integral else safe
