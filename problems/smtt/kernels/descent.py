"""Insertion moves, which turn a good sequence into a better one: the lower the cost known, the more is pruned."""

from __future__ import annotations

import numpy as np

from engine_bridge.jit import inlined
from problems.base import Array


@inlined
def best_insertion(p: Array, d: Array, sequence: Array, completion: Array, i: int) -> tuple[int, int]:
    """Where the job at position i would cost least, and how much that changes total tardiness (≤ 0)."""
    job = sequence[i]
    before = max(0, completion[i] - d[job])
    best, least = i, 0
    others = 0
    for q in range(i + 1, sequence.size):
        lateness = completion[q] - d[sequence[q]]
        others += max(0, lateness - p[job]) - max(0, lateness)
        change = others + max(0, completion[q] - d[job]) - before
        if change < least:
            best, least = q, change
    others = 0
    for q in range(i - 1, -1, -1):
        lateness = completion[q] - d[sequence[q]]
        others += max(0, lateness + p[job]) - max(0, lateness)
        change = others + max(0, completion[q] - p[sequence[q]] + p[job] - d[job]) - before
        if change < least:
            best, least = q, change
    return best, least


@inlined
def insert(p: Array, d: Array, sequence: Array) -> None:
    """Move one job after another to its best position, in place, until no move lowers total tardiness."""
    completion = np.cumsum(p[sequence])
    improved = True
    while improved:
        improved = False
        for i in range(sequence.size):
            best, change = best_insertion(p, d, sequence, completion, i)
            if change < 0:
                job = sequence[i]
                if best > i:
                    sequence[i:best] = sequence[i + 1 : best + 1].copy()
                else:
                    sequence[best + 1 : i + 1] = sequence[best:i].copy()
                sequence[best] = job
                completion[:] = np.cumsum(p[sequence])
                improved = True
