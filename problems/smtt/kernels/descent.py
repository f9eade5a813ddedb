"""A good sequence when the exact solver runs out of room: modified due dates, then insertion moves."""

from __future__ import annotations

import numpy as np

from problems.base import Array
from problems.smtt.kernels.jit import compiled


@compiled
def modified_due_date(p: Array, d: Array) -> Array:
    """Append, time and again, the job with the least max(t + p_j, d_j); ties: the first (Baker & Bertrand 1982)."""
    n = p.size
    sequence = np.arange(n)
    time = 0
    for i in range(n):
        best = i
        for q in range(i + 1, n):
            j, k = sequence[q], sequence[best]
            if max(time + p[j], d[j]) < max(time + p[k], d[k]):
                best = q
        chosen = sequence[best]
        sequence[i + 1 : best + 1] = sequence[i:best].copy()
        sequence[i] = chosen
        time += p[chosen]
    return sequence


@compiled
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


@compiled
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
