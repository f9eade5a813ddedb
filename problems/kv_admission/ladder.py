"""The ladder of bounds: the largest counts, and is called by its name."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from problems.area import area_bound
from problems.base import Array, Bound, Instance
from problems.kv_admission.memory import areas, centroids, held_at_ends, total_latency
from problems.mip import round_up, solve_model

MIP_COLUMNS = 1500
"""Above so many columns the integer program is left alone: its root relaxation is the linear program's."""
LP_COLUMNS = 250_000
"""Above so many columns of the linear program, the area bound has to do."""
NODES = 100
"""Limit on branch-and-bound nodes."""


def simple_bounds(instance: Instance) -> dict[str, float]:
    """The bounds that need no solver, by name: isolated latencies, and the mean-busy-time area bound."""
    prompt, output, arrival = (instance[name] for name in ("prompt", "output", "arrival"))
    slack = output - centroids(prompt, output)
    area = area_bound(arrival, areas(prompt, output), float(instance["capacity"]), slack) - float(arrival.sum())
    return {"isolated latencies": float(output.sum()), "area": round_up(area, integral=True)}


def certify(instance: Instance, *, nodes: int = NODES) -> Bound:
    """The largest bound of the ladder, beside the best schedule known.

    `optimal` if the bound meets the cost of that schedule, which only HiGHS's proof of the integer program, or the
    linear program's bound itself, can bring about. The limits are columns and nodes, never seconds.
    """
    from problems.kv_admission.search import best_schedule  # numba takes half a second to import

    began = time.process_time()
    best, start = best_schedule(instance)
    values = simple_bounds(instance)
    explored = 0
    horizon = int(start.max()) + 1
    if int(np.maximum(horizon + 1 - instance["arrival"], 1).sum()) <= LP_COLUMNS:
        from problems.kv_admission.relaxation import lagrangian_bound, memory_prices  # so does SciPy

        price = memory_prices(instance, horizon)
        values["time-indexed LP"] = round_up(lagrangian_bound(instance, price), integral=True)
        starts = worthwhile_starts(instance, price, best)
        if max(values.values()) < best and sum(map(len, starts)) <= MIP_COLUMNS:
            value, found, explored = _hindsight(instance, starts, nodes)
            if found is not None and (cost := total_latency(instance["output"], instance["arrival"], found)) < best:
                best, start = cost, found
            values["hindsight MIP"] = min(value, float(best))
    method = max(values, key=lambda name: values[name])
    return Bound(
        value=values[method],
        kind="optimal" if values[method] == best else "lower",
        method=method,
        seconds=time.process_time() - began,
        best=float(best),
        solution=tuple(start.tolist()),
        details={name: value for name, value in values.items() if name != method} | {"nodes": explored},
    )


def worthwhile_starts(instance: Instance, price: Array, best: int) -> list[Array]:
    """For each request the start rounds that a schedule cheaper than `best` can have, and one more after them.

    In a schedule that costs at most best − 1 all requests together wait best − 1 − Σ o_i rounds, so no single one
    waits longer. And with the prices of the linear program, a start whose price exceeds the request's least by δ
    raises the Lagrangian bound by δ, at most to best − 1 (reduced-cost fixing).
    """
    from problems.kv_admission.relaxation import lagrangian_bound, start_prices

    patience = best - 1 - int(instance["output"].sum())
    allowance = max(0.0, best - 1 - lagrangian_bound(instance, price)) + 1e-6 * best  # the last for rounding errors
    starts = []
    for arrival, prices in zip(instance["arrival"].tolist(), start_prices(instance, price), strict=True):
        more = min(patience + 1 - len(prices), int(allowance) + 1)  # later starts are dearer by 1 a round
        tail = prices[-1] + np.arange(1, max(0, more) + 1)
        waits = np.flatnonzero(np.concatenate((prices, tail))[: patience + 1] <= prices.min() + allowance)
        starts.append(arrival + np.append(waits, patience + 1))
    return starts


def _hindsight(instance: Instance, starts: Sequence[Array], nodes: int) -> tuple[float, Array | None, int]:
    """HiGHS on the integer program: its bound, the schedule it found if it is one, and the nodes explored."""
    from problems.kv_admission.mip import hindsight_model, starts_of  # PuLP, likewise

    model = hindsight_model(instance, starts)
    result = solve_model(model, max_nodes=nodes, integral=True)
    if result.best is None:
        return result.value, None, result.nodes
    start = starts_of(model, len(starts))
    held = held_at_ends(instance["prompt"], instance["output"], start)[1]
    fits = start.min() >= 0 and held.max() <= int(instance["capacity"])
    return result.value, start if fits else None, result.nodes
