"""The best known solution: a bound says more if a good schedule stands beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine_bridge.simulator import Simulation
from problems.base import Array, Instance
from problems.batch_order.costs import Objective, cost_of
from problems.batch_order.schedule import completion_times

LARGEST = 400
"""Requests up to which orders are searched; beyond, the best of the schedules given is the best known."""


def simulation_of(instance: Instance) -> Simulation:
    """The simulation of an instance, at its beginning."""
    return Simulation(
        instance["prompt"],
        instance["output"],
        instance["arrival"],
        capacity=int(instance["capacity"]),
        budget=int(instance["budget"]),
    )


def best_schedule(instance: Instance, objective: Objective, schedules: Sequence[Array]) -> tuple[float, Array]:
    """Cost and chunks of the best schedule found by moving single requests in fixed orders, from the best given.

    A move is kept unless it costs more; the cost of late requests counts how late they are where the number is equal.
    The same for the same instance and schedules.
    """
    chunks = min(schedules, key=lambda rows: _key(instance, objective, completion_times(instance, rows)))
    best = _key(instance, objective, completion_times(instance, chunks))
    n = len(instance["prompt"])
    order = np.array(list(dict.fromkeys(chunks[:, 0].tolist())), dtype=np.int64)  # by first chunk
    rng = np.random.Generator(np.random.PCG64(n))
    current = None
    for pick, place in (rng.random((_tries(n), 2)) * n).astype(np.int64):
        moved = np.insert(np.delete(order, pick), place, order[pick]) if current else order
        simulation = simulation_of(instance)
        simulation.follow(np.argsort(moved))
        key = _key(instance, objective, simulation.completion)
        if current is None or key <= current:
            order, current = moved, key
            if key < best:
                best, chunks = key, simulation.chunks
    return best[0], chunks


def _tries(n: int) -> int:
    """Fewer for larger instances, whose simulations take longer."""
    return 0 if n > LARGEST else min(2_000, 100 * n, 300_000 // n)


def _key(instance: Instance, objective: Objective, completion: Array) -> tuple[float, float]:
    cost = cost_of(objective, instance, completion)
    if objective != "late":
        return cost, 0.0
    return cost, float(np.maximum(completion - instance["deadline"], 0).sum())
