"""The best known solution: a bound says more if a good schedule stands beside it."""

from __future__ import annotations

import numpy as np

from engine_bridge.simulator import Simulation
from problems.base import Array, Instance
from problems.kv_admission.kernels import improve
from problems.kv_admission.memory import areas, total_latency

MOVES = 60_000
"""Moves tried from each starting order at n = 50: about half a second in all."""
PASSED_OVER = (1.0, 2.0, 1e6)
"""What the area of a request that does not fit is multiplied with, in the rules that give starting orders."""


def best_schedule(instance: Instance, moves: int = MOVES) -> tuple[int, Array]:
    """The least total latency found and its start rounds, int64 (n,), by threshold accepting over list orders.

    Each request of a list starts in the first round in which it fits on top of those before it. A move puts one
    request elsewhere in the list, and is accepted if it costs less than a falling threshold more. Starting orders:
    output length, memory area, and the start rounds that three rules of admission lead to, whose schedules count
    too. The same for the same instance.

    Source of the search: Dueck & Scheuer, J. Comput. Phys. 90, 1990 (threshold accepting).
    """
    prompt, output, arrival = (np.ascontiguousarray(instance[name]) for name in ("prompt", "output", "arrival"))
    capacity, n = int(instance["capacity"]), len(prompt)
    admitted = [admit(instance, factor) for factor in PASSED_OVER]
    best, best_start = min(
        ((total_latency(output, arrival, start), start) for start in admitted), key=lambda one: one[0]
    )
    rng = np.random.Generator(np.random.PCG64(n))
    # Few orders are to be had of few requests; n = 200 costs a second or two, and so does n = 1000.
    tries = min(40 * n * n, int(moves * min(1, 50 / n) * min(1, 200 / n) ** 3))
    for key in (output, areas(prompt, output), *admitted):
        order = np.lexsort((output, key))
        start = np.zeros(n, dtype=np.int64)
        scale = 0.15 * output.mean()  # found by trial on instances of 50 to 200 requests
        cost = improve(order, prompt, output, arrival, capacity, *_moves(n, tries, scale, rng), start)
        if cost < best:
            best, best_start = int(cost), start
    return best, best_start


def admit(instance: Instance, factor: float) -> Array:
    """Start rounds when the smallest area goes first, that of a request which does not fit multiplied by `factor`."""
    prompt, output, arrival = (instance[name] for name in ("prompt", "output", "arrival"))
    area = areas(prompt, output).astype(np.float64)
    simulation = Simulation(prompt + 1, output, arrival, capacity=int(instance["capacity"]))
    while simulation.advance():
        simulation.admit(np.where(simulation.room < 0, factor, 1.0) * area[simulation.waiting])
    start: Array = simulation.completion - output
    return start


def _moves(n: int, tries: int, scale: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Pairs (from, to) of positions, to within n/4 of from; and the thresholds, falling to 0 from about `scale`."""
    source = np.floor(rng.random(tries) * n).astype(np.int64)
    distance = np.rint((rng.random(tries) - 0.5) * max(n / 2, 4)).astype(np.int64)
    threshold = np.linspace(scale, 0, tries)
    return np.stack((source, np.clip(source + distance, 0, n - 1)), axis=1), threshold
