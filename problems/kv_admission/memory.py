"""What a set of start rounds costs and holds, computed from the requests alone."""

from __future__ import annotations

import numpy as np

from problems.base import Array


def total_latency(output: Array, arrival: Array, start: Array) -> int:
    """Σ (k_i + o_i − a_i): the rounds from each request's arrival to its last token."""
    return int((start + output - arrival).sum())


def held_at_ends(prompt: Array, output: Array, start: Array) -> tuple[Array, Array]:
    """The memory held in the last round of each request, where memory peaks; (rounds, tokens), both int64 (n,).

    Request i holds s_i + t − k_i tokens in rounds t = k_i + 1 … k_i + o_i. Between two last rounds memory only
    grows, so what fits in these n rounds fits in all. O(n log n), whatever the numbers.
    """
    end = start + output
    by_start, by_end = np.argsort(start, kind="stable"), np.argsort(end, kind="stable")
    intercept = prompt - start
    # Σ over the started minus Σ over the ended before round t of (s_i − k_i), and the same for counts.
    started = np.concatenate(([0], np.cumsum(intercept[by_start])))
    ended = np.concatenate(([0], np.cumsum(intercept[by_end])))
    begun = np.searchsorted(start[by_start], end, side="left")
    over = np.searchsorted(end[by_end], end, side="left")
    held: Array = started[begun] - ended[over] + end * (begun - over)
    return end, held


def areas(prompt: Array, output: Array) -> Array:
    """Token-rounds a request holds in all: Σ_{j=1…o} (s + j) = s·o + o(o + 1)/2."""
    held: Array = prompt * output + output * (output + 1) // 2
    return held


def centroids(prompt: Array, output: Array) -> Array:
    """Rounds from a request's start to the centroid of its memory, round j counted at j − ½.

    Σ_j (s + j)(j − ½) / A with Σ j = o(o+1)/2 and Σ j² = o(o+1)(2o+1)/6.
    """
    first = output * (output + 1) / 2
    second = first * (2 * output + 1) / 3
    moment: Array = prompt * (first - output / 2) + second - first / 2
    return np.asarray(moment / areas(prompt, output))
