"""The bound of one instance: the largest of the ladder, and the best known schedule beside it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import pulp

from problems.base import Array, Bound, Instance
from problems.batch_order.costs import Objective, cost_of
from problems.batch_order.ladder import Step, best_step, completion_ladder, late_ladder, makespan_ladder
from problems.batch_order.mip import Program, build
from problems.batch_order.schedule import check_schedule, completion_times
from problems.batch_order.search import best_schedule
from problems.mip import TOLERANCE, solve_model

SIZES: dict[Objective, tuple[int, int, int]] = {
    "completion": (1_000, 1_000, 6_000),
    "makespan": (1_000, 1_000, 6_000),
    "late": (6_000, 20_000, 20_000),
}
"""Requests times iterations up to which the mixed-integer program is solved, only its root node with cuts, only its
linear relaxation."""
MAX_NODES = 1_000

LADDERS = {"completion": completion_ladder, "makespan": makespan_ladder, "late": late_ladder}


def ladder_bound(instance: Instance, objective: Objective) -> Step:
    """The largest of the bounds that need no solver."""
    return best_step(LADDERS[objective](instance))


def certify(instance: Instance, objective: Objective, schedules: Sequence[Array]) -> Bound:
    """The bound of an instance; `schedules` (at least one) are feasible ones, such as the baselines'.

    It is optimal if HiGHS proves it, or if a schedule costs no more than a lower bound. `solution` is the best known
    schedule: its chunks (request, iteration, tokens), one after the other.
    """
    began = time.process_time()
    best, chunks = best_schedule(instance, objective, schedules)
    step = ladder_bound(instance, objective)
    nodes, found = 0, None
    horizon = _horizon(instance, objective, chunks, best)
    cells = len(instance["prompt"]) * (horizon - int(instance["arrival"].min()))
    if step.value < best and cells <= SIZES[objective][-1]:
        stronger, nodes, found = _solve(instance, objective, horizon, cells)
        step = best_step([step, stronger])
    if found is not None and (cost := cost_of(objective, instance, completion_times(instance, found))) < best:
        best, chunks = cost, found
    return Bound(
        value=step.value,
        kind="optimal" if step.value >= best else "lower",
        method=step.method,
        seconds=time.process_time() - began,
        best=best,
        solution=tuple(chunks.ravel().tolist()),
        details={"nodes": nodes},
    )


def _horizon(instance: Instance, objective: Objective, chunks: Array, best: float) -> int:
    """The program's horizon, given the best known schedule and its cost."""
    if objective == "completion":
        return int(chunks[:, 1].max()) + 3
    return int(best) if objective == "makespan" else int(instance["deadline"].max())


def _solve(instance: Instance, objective: Objective, horizon: int, cells: int) -> tuple[Step, int, Array | None]:
    """The program's bound, as far as its size allows; the nodes; the schedule it found, if any."""
    whole, root, _ = SIZES[objective]
    program = build(instance, objective, horizon)
    if cells > root:
        for variable in (variable for row in program.finished for variable in row):
            variable.cat = pulp.LpContinuous
        value = solve_model(program.model, max_nodes=0).value
        return Step(math.ceil(value - TOLERANCE * max(1.0, abs(value))), "time-indexed LP"), 0, None
    result = solve_model(program.model, max_nodes=MAX_NODES if cells <= whole else 1, integral=True)
    if result.kind == "optimal" and objective == "completion" and not program.complete() and cells <= whole:
        return _solve(instance, objective, 2 * horizon, 2 * cells)  # the optimum may lie beyond the horizon
    found = _schedule(instance, objective, program) if result.best is not None else None
    return Step(result.value, "MIP" if result.kind == "optimal" else "MIP dual bound"), result.nodes, found


def _schedule(instance: Instance, objective: Objective, program: Program) -> Array | None:
    """The program's solution as a checked schedule; None where it uses what lies beyond the horizon."""
    chunks = program.chunks()
    if objective == "late":
        chunks = _append_late(instance, chunks)
    elif not program.complete():
        return None
    check_schedule(instance, chunks)
    return chunks


def _append_late(instance: Instance, chunks: Array) -> Array:
    """Run the requests that `chunks` leaves out after all others, one at a time."""
    prompt, output, budget = instance["prompt"], instance["output"], int(instance["budget"])
    rows = [tuple(row) for row in chunks.tolist()]
    on_time = sorted({row[0] for row in rows})
    now = max((max(row[1] for row in rows if row[0] == i) + int(output[i]) for i in on_time), default=0)
    for i in np.setdiff1d(np.arange(len(prompt)), on_time).tolist():
        now = max(now, int(instance["arrival"][i]))
        for done in range(0, int(prompt[i]), budget):
            rows.append((i, now, min(budget, int(prompt[i]) - done)))
            now += 1
        now += int(output[i]) - 1
    return np.array(rows, dtype=np.int64)
