"""The time-indexed linear program, certified by its own multipliers."""

from __future__ import annotations

import highspy
import numpy as np
from scipy.sparse import csc_array

from problems.base import Array, Instance

LARGEST = 800_000
"""Non-zeros of the constraint matrix; beyond, memory is summed over two rounds, four, … and the bound is weaker."""

Columns = tuple[Array, Array]
"""Pairs (request, start round), the variables of the program; two int64 arrays."""


def lp_bound(instance: Instance, horizon: int) -> float:
    """A lower bound on the total latency, close to the optimum of the linear relaxation of `hindsight_model`.

    HiGHS solves the program; what is returned is not its value, but the Lagrangian bound for the prices it found, so
    that no tolerance of the solver enters. `horizon`: the last start round considered, at best that of a good
    schedule's last start; any value gives a valid bound.

    Source: Sousa & Wolsey, Math. Program. 54, 1992 (time-indexed formulation); Geoffrion, Math. Program. Study 2,
    1974 (Lagrangian bound).
    """
    return lagrangian_bound(instance, memory_prices(instance, horizon))


def lagrangian_bound(instance: Instance, price: Array) -> float:
    """Σ_i min_k (k + o_i − a_i + Σ_j price[k+j]·(s_i + j)) − M·Σ price, for any prices ≥ 0; `price[t − 1]` of round t.

    O(rounds · Σ o_i).
    """
    least = sum(float(dear.min()) for dear in start_prices(instance, price))
    return least - float(instance["capacity"]) * float(price.sum())


def start_prices(instance: Instance, price: Array) -> list[Array]:
    """Latency plus the price of the memory held, for each request and each start from arrival on; float64.

    The last start listed is in the round of the last price or at arrival: from there on starts get dearer by 1 a round.
    """
    padded = np.concatenate((price, np.zeros(int(instance["output"].max() + instance["arrival"].max()) + 1)))
    rows = zip(*(instance[name].tolist() for name in ("prompt", "output", "arrival")), strict=True)
    prices = []
    for prompt, output, arrival in rows:
        span = padded[arrival : max(len(price), arrival) + output]
        memory = np.correlate(span, prompt + np.arange(1.0, output + 1), "valid")
        prices.append(output + np.arange(len(memory)) + memory)
    return prices


def memory_prices(instance: Instance, horizon: int) -> Array:
    """The price of a token in each round, from the linear program: float64, ≥ 0; `price[t − 1]` is that of round t."""
    width = 1
    while _nonzeros(instance, horizon) > width * LARGEST:
        width *= 2
    program = _program(instance, horizon, width)
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    # Simplex is faster where requests arrive one by one, interior points where they come together (measured).
    together = instance["arrival"].mean() < horizon / 8
    options: dict[str, bool | int | float | str] = {
        "output_flag": False,
        "threads": 1,
        "parallel": "off",
        "run_crossover": "off",
    }
    options["solver"] = "ipm" if together else "simplex"
    options["ipm_optimality_tolerance"] = 1e-5  # prices need no more: their bound is exact
    for option, value in options.items():
        solver.setOptionValue(option, value)
    solver.passModel(program)
    solver.run()
    duals = np.array(solver.getSolution().row_dual[len(instance["prompt"]) :])
    if len(duals) != program.num_row_ - len(instance["prompt"]) or not np.isfinite(duals).all():
        return np.zeros(horizon + 1)  # no prices: the bound falls back to the isolated latencies
    return np.repeat(np.maximum(-duals, 0.0), width)


def _nonzeros(instance: Instance, horizon: int) -> int:
    return int((np.maximum(horizon - instance["arrival"], 0) * instance["output"]).sum())


def _columns(instance: Instance, horizon: int) -> Columns:
    """Every start from arrival to `horizon`; the last one of each request holds no memory."""
    last = np.maximum(instance["arrival"], horizon)
    count = last - instance["arrival"] + 1
    request = np.repeat(np.arange(len(count)), count)
    start = np.arange(len(request)) - np.repeat(np.cumsum(count) - count - instance["arrival"], count)
    return request, start


def _program(instance: Instance, horizon: int, width: int) -> highspy.HighsLp:
    """One row per request, then one per `width` rounds, whose memory is summed."""
    prompt, output, arrival = (instance[name] for name in ("prompt", "output", "arrival"))
    n = len(prompt)
    request, start = _columns(instance, horizon)
    columns = np.arange(len(request))
    rounds = np.where(start < np.maximum(arrival, horizon)[request], output[request], 0)
    entry = np.repeat(columns, rounds)
    j = np.arange(len(entry)) - np.repeat(np.cumsum(rounds) - rounds, rounds) + 1
    row = (start[entry] + j - 1) // width
    buckets = int(max(horizon, arrival.max()) + output.max()) // width + 1
    values = np.concatenate((np.ones(len(request)), prompt[request[entry]] + j))
    places = (np.concatenate((request, n + row)), np.concatenate((columns, entry)))
    matrix = csc_array((values, places), shape=(n + buckets, len(request)))
    matrix.sum_duplicates()
    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = len(request), n + buckets
    program.col_cost_ = (start + output[request] - arrival[request]).astype(np.float64)
    program.col_lower_, program.col_upper_ = np.zeros(len(request)), np.full(len(request), highspy.kHighsInf)
    memory = np.full(buckets, float(width * int(instance["capacity"])))
    program.row_lower_ = np.concatenate((np.ones(n), np.full(buckets, -highspy.kHighsInf)))
    program.row_upper_ = np.concatenate((np.ones(n), memory))
    program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    program.a_matrix_.start_ = matrix.indptr.astype(np.int32)
    program.a_matrix_.index_ = matrix.indices.astype(np.int32)
    program.a_matrix_.value_ = matrix.data.astype(np.float64)
    return program
