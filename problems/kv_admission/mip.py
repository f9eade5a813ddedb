"""The hindsight-optimal integer program of Jaillet et al. (arXiv 2502.07115), made finite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pulp

from problems.base import Array, Instance


def hindsight_model(instance: Instance, starts: Sequence[Array]) -> pulp.LpProblem:
    """Minimise Σ (k + o_i − a_i)·x_i_k, where x_i_k = 1 if request i starts in round k; binary, integral costs.

    Σ_k x_i_k = 1 for each request; Σ_i Σ_{k = t−o_i … t−1} (s_i + t − k)·x_i_k ≤ M for each round t. `starts[i]` are
    the rounds k in which request i may start, ascending. In the last of them it holds no memory, so that the model is
    feasible; with every round from a_i to some horizon it is a relaxation of the infinite horizon: its optimum is a
    bound, and the optimum of the problem if no such last column is used.
    """
    prompt, output, arrival = (instance[name].tolist() for name in ("prompt", "output", "arrival"))
    model = pulp.LpProblem("kv_admission", pulp.LpMinimize)
    held: dict[int, list[tuple[pulp.LpVariable, int]]] = {}
    latency, assigned = [], []
    for i, rounds in enumerate(starts):
        columns = {k: model.add_variable(f"x_{i}_{k}", cat=pulp.LpBinary) for k in rounds.tolist()}
        assigned.append(list(columns.values()))
        latency += [(x, k + output[i] - arrival[i]) for k, x in columns.items()]
        for k in rounds[:-1].tolist():
            for j in range(1, output[i] + 1):
                held.setdefault(k + j, []).append((columns[k], prompt[i] + j))
    model += pulp.LpAffineExpression(latency)
    for requests in assigned:
        model += pulp.lpSum(requests) == 1
    for t in sorted(held):
        model += pulp.LpAffineExpression(held[t]) <= int(instance["capacity"])
    return model


def starts_of(model: pulp.LpProblem, n: int) -> Array:
    """The start rounds in the model's best solution, shape (n,), int64; −1 for a request without one."""
    start = np.full(n, -1, dtype=np.int64)
    for variable in model.variables():
        if variable.varValue is not None and variable.varValue > 0.5:
            _, i, k = variable.name.split("_")
            start[int(i)] = int(k)
    return start
