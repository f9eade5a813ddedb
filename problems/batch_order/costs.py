"""The three objectives, as functions of the completion times."""

from __future__ import annotations

from typing import Literal

from problems.base import Array, Instance

Objective = Literal["completion", "makespan", "late"]


def cost_of(objective: Objective, instance: Instance, completion: Array) -> float:
    """Σ C_i, max C_i, or the number of i with C_i > d_i; `completion` of shape (n,), in iterations."""
    if objective == "completion":
        return float(completion.sum())
    if objective == "makespan":
        return float(completion.max())
    return float((completion > instance["deadline"]).sum())
