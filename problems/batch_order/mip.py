"""Chunked prefill with stall-free decodes as a time-indexed mixed-integer program, for up to about ten requests.

Iterations t = 0 … T−1. F[i,t]: tokens of prompt i prefilled by the end of iteration t; Z[i,t] = 1 if prompt i is
finished by then, so the iteration t_i that finishes it is the first with Z = 1. Both are 0 before the earliest
possible iteration and keep their last value after the horizon.

    F[i,t−1] ≤ F[i,t] ≤ p_i,  Z[i,t−1] ≤ Z[i,t]
    F[i,t] ≥ p_i·Z[i,t]                                                   no decode before the prompt is finished
    F[i,t−1] ≤ p_i − (Z[i,t] − Z[i,t−1])                                  the first output token comes with a chunk
    Σ_i F[i,t] − F[i,t−1] + Z[i,t−1] − Z[i,t−o_i] ≤ B                     token row
    Σ_i F[i,t] + Σ_{k<o_i} Z[i,t−k] − (p_i + o_i − 1)·Z[i,t−o_i] ≤ M      KV row, k from 1

For given integral Z the rows in F are nested capacities over time on one side and one demand a prompt on the other (a
network), so that integral F exist; F is left continuous, which HiGHS solves faster.

The horizon. Makespan: the best known makespan C̄, by which everything is finished. Late requests: the last deadline;
what is late runs after all others, one request at a time, and takes part in no row. Completion times: T; a prompt with
Z[i,T−1] = 0 counts as finished in iteration T without any tokens or KV from there on, so the program is a relaxation
of the unlimited horizon, and exact where its solution finishes every prompt.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pulp

from problems.base import Array, Instance
from problems.batch_order.costs import Objective
from problems.batch_order.schedule import first_finish


@dataclass
class Program:
    """The program and its variables: `finished[i]` and `prefilled[i]` by iteration, from `first[i]`, `arrival[i]`."""

    model: pulp.LpProblem
    arrival: list[int]
    first: list[int]
    prefilled: list[list[pulp.LpVariable]] = field(default_factory=list)
    finished: list[list[pulp.LpVariable]] = field(default_factory=list)

    def F(self, i: int, t: int) -> pulp.LpVariable | int:
        """F[i,t], for every t."""
        return _at(self.prefilled[i], t - self.arrival[i])

    def Z(self, i: int, t: int) -> pulp.LpVariable | int:
        """Z[i,t], for every t."""
        return _at(self.finished[i], t - self.first[i])

    def complete(self) -> bool:
        """Whether the solution found finishes every prompt within the horizon."""
        return all(row and round(row[-1].varValue) == 1 for row in self.finished)

    def chunks(self) -> Array:
        """The solution found, as rows (request, iteration, tokens), for the prompts it finishes; shape (k, 3)."""
        rows = []
        for i, row in enumerate(self.finished):
            if not row or round(row[-1].varValue) == 0:
                continue
            done = np.rint([0.0, *(variable.varValue for variable in self.prefilled[i])]).astype(np.int64)
            rows += [(i, self.arrival[i] + k, int(tokens)) for k, tokens in enumerate(np.diff(done)) if tokens]
        return np.array(rows, dtype=np.int64).reshape(-1, 3)


def build(instance: Instance, objective: Objective, horizon: int) -> Program:
    """The program for one objective; its optimum is integral.

    Args:
        instance: arrays prompt, output, arrival (and deadline for "late") of shape (n,), scalars budget and capacity.
        objective: Σ C_i, max C_i, or the number of i with C_i > d_i.
        horizon: T for "completion"; a makespan that can be reached for "makespan"; not used for "late".
    """
    output = instance["output"].tolist()
    last = _last_iterations(instance, objective, horizon)
    program = Program(pulp.LpProblem(objective, pulp.LpMinimize), instance["arrival"].tolist(), first_finish(instance))
    for i, end in enumerate(last):
        begin = program.first[i]
        iterations = range(program.arrival[i] if end >= begin else end + 1, end + 1)
        prompt = int(instance["prompt"][i])
        program.prefilled.append(
            [program.model.add_variable(f"F_{i}_{t}", lowBound=0, upBound=prompt) for t in iterations]
        )
        program.finished.append(
            [program.model.add_variable(f"Z_{i}_{t}", cat=pulp.LpBinary) for t in range(begin, end + 1)]
        )
    _objective(program, objective, output, last, horizon)
    _request_rows(program, instance, last)
    _resource_rows(program, instance, max(last) + max(output) + 1)
    return program


def _last_iterations(instance: Instance, objective: Objective, horizon: int) -> list[int]:
    """The last iteration in which each prompt may be finished."""
    if objective == "completion":
        return [horizon - 1] * len(instance["prompt"])
    end = instance["deadline"] if objective == "late" else horizon
    last: list[int] = (end - instance["output"]).tolist()
    return last


def _objective(program: Program, objective: Objective, output: list[int], last: list[int], horizon: int) -> None:
    model, first = program.model, program.first
    if objective == "completion":  # C_i = o_i + the iterations that pass before prompt i is finished
        model += pulp.lpSum(first[i] + o + len(program.finished[i]) for i, o in enumerate(output)) - pulp.lpSum(
            program.finished
        )
    elif objective == "late":
        model += pulp.lpSum(1 - program.Z(i, end) for i, end in enumerate(last))
    else:  # one variable for each iteration in which something is left to do
        least = max(begin + o for begin, o in zip(first, output, strict=True))
        going_on = {t: model.add_variable(f"y_{t}", lowBound=0, upBound=1) for t in range(least, horizon)}
        model += least + pulp.lpSum(going_on.values())
        for i, o in enumerate(output):
            model += program.finished[i][-1] == 1
            for t, variable in going_on.items():
                model += variable >= 1 - program.Z(i, t - o)


def _request_rows(program: Program, instance: Instance, last: list[int]) -> None:
    F, Z, model = program.F, program.Z, program.model
    for i, prompt in enumerate(instance["prompt"].tolist()):
        if not program.finished[i]:
            continue
        for t in range(program.arrival[i] + 1, last[i] + 1):
            model += F(i, t) >= F(i, t - 1)
        for t in range(program.first[i], last[i] + 1):
            model += Z(i, t) >= Z(i, t - 1)
            model += F(i, t) >= prompt * Z(i, t)
            model += F(i, t - 1) <= prompt - Z(i, t) + Z(i, t - 1)


def _resource_rows(program: Program, instance: Instance, iterations: int) -> None:
    F, Z, model = program.F, program.Z, program.model
    requests = [
        (i, p, o)
        for i, (p, o) in enumerate(zip(instance["prompt"].tolist(), instance["output"].tolist(), strict=True))
        if program.finished[i]
    ]
    budget, capacity = int(instance["budget"]), int(instance["capacity"])
    kv_may_bind = sum(p + o - 1 for _, p, o in requests) > capacity
    for t in range(min(program.arrival), iterations):
        model += pulp.lpSum(F(i, t) - F(i, t - 1) + Z(i, t - 1) - Z(i, t - o) for i, _, o in requests) <= budget
        if kv_may_bind:
            held = (
                F(i, t) + pulp.lpSum(Z(i, t - k) for k in range(1, o)) - (p + o - 1) * Z(i, t - o)
                for i, p, o in requests
            )
            model += pulp.lpSum(held) <= capacity


def _at(variables: list[pulp.LpVariable], place: int) -> pulp.LpVariable | int:
    """The variable at a place; 0 before the first one, the last one after it."""
    if place < 0 or not variables:
        return 0
    return variables[min(place, len(variables) - 1)]
