"""Compiled parts: schedules from a list, and their improvement; trusted code only."""

from __future__ import annotations

import numpy as np

from engine_bridge.jit import compiled
from problems.base import Array

ENDLESS = 2**62


@compiled
def earliest(held: Array, prompt: int, output: int, arrival: int, capacity: int) -> int:
    """The first round k ≥ arrival in which s + j tokens fit on top of held[k + j] for j = 1 … o."""
    k = arrival
    while True:
        j = output
        while j > 0 and held[k + j] + prompt + j <= capacity:
            j -= 1
        if j == 0:
            return k
        # Started at k' > k, the request holds s + k + j − k' tokens in the round that is too full.
        over = held[k + j] + prompt + j - capacity
        k += min(over, j)


@compiled
def list_schedule(
    order: Array, prompt: Array, output: Array, arrival: Array, capacity: int, held: Array, start: Array, limit: int
) -> int:
    """Start each request of `order` as early as what was placed before allows; the total latency, or `limit` if more.

    `held` is scratch memory of Σ o_i + max a_i + 2 rounds or more; `start` receives the rounds, shape (n,).
    """
    held[:] = 0
    total = 0
    for i in order:
        k = earliest(held, prompt[i], output[i], arrival[i], capacity)
        start[i] = k
        total += k + output[i] - arrival[i]
        if total >= limit:
            return limit
        for j in range(1, output[i] + 1):
            held[k + j] += prompt[i] + j
    return total


@compiled
def improve(
    order: Array,
    prompt: Array,
    output: Array,
    arrival: Array,
    capacity: int,
    moves: Array,
    tolerance: Array,
    best_start: Array,
) -> int:
    """Move single requests of `order` to other places, accepting what loses less than the falling `tolerance`.

    Args:
        order: a permutation, changed in place, shape (n,).
        moves: pairs (from, to) of positions to try, in turn, shape (m, 2).
        tolerance: what the move of the same number may cost more than the present schedule, shape (m,).
        best_start: receives the start rounds of the best schedule seen, shape (n,).

    Returns:
        The total latency of that schedule.
    """
    held = np.zeros(output.sum() + arrival.max() + 2, dtype=np.int64)
    start = np.zeros(order.size, dtype=np.int64)
    present = list_schedule(order, prompt, output, arrival, capacity, held, start, ENDLESS)
    best = present
    best_start[:] = start
    trial = order.copy()
    for m in range(len(moves)):
        source, target = moves[m, 0], moves[m, 1]
        if source == target:
            continue
        trial[:] = order
        if source < target:
            trial[source:target] = order[source + 1 : target + 1]
        else:
            trial[target + 1 : source + 1] = order[target:source]
        trial[target] = order[source]
        limit = present + int(tolerance[m]) + 1
        cost = list_schedule(trial, prompt, output, arrival, capacity, held, start, limit)
        if cost < limit:
            present = cost
            order[:] = trial
            if cost < best:
                best = cost
                best_start[:] = start
    return best
