"""1||ΣT_j as a mixed-integer program: an oracle for the exact solver that shares nothing with it, for n ≤ 20."""

from __future__ import annotations

import pulp

from problems.base import Instance


def positional_model(instance: Instance) -> pulp.LpProblem:
    """Assign jobs to positions: minimise Σ_k T_k with u_jk = 1 if job j is the k-th, without big-M.

    T_k ≥ Σ_{l≤k} Σ_j p_j u_jl − Σ_j d_j u_jk: the tardiness of whatever job is the k-th. The objective is integral
    if p and d are. Variables are named `u_j_k` and `T_k`, both counted from 0.
    """
    p, d = instance["p"].tolist(), instance["d"].tolist()
    jobs = range(len(p))
    model = pulp.LpProblem("total_tardiness", pulp.LpMinimize)
    u = [[model.add_variable(f"u_{j}_{k}", cat=pulp.LpBinary) for k in jobs] for j in jobs]
    tardiness = [model.add_variable(f"T_{k}", lowBound=0) for k in jobs]
    model += pulp.lpSum(tardiness)
    for j in jobs:
        model += pulp.lpSum(u[j]) == 1
    for k in jobs:
        model += pulp.lpSum(u[j][k] for j in jobs) == 1
        completion = pulp.lpSum(p[j] * u[j][position] for position in range(k + 1) for j in jobs)
        model += tardiness[k] >= completion - pulp.lpSum(d[j] * u[j][k] for j in jobs)
    return model
