"""MDD+insertion: MDD, then the best insertion move again and again, until none helps.

Source: the insertion neighbourhood is folklore of local search; MDD: Baker and Bertrand (1982).
Tag: inspired by Baker & Bertrand 1982
Deviations: the local search is ours. The strongest of the baselines, and the bar for any improver.
"""

import numpy as np


def schedule(p: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Order of the jobs that no move of a single job to another position improves."""
    order = mdd_order(p, d)
    cost = total_tardiness(order, p, d)
    while True:
        gain = insertion_gains(p[order], d[order])
        i, j = np.unravel_index(np.argmax(gain), gain.shape)
        moved = np.insert(np.delete(order, i), j, order[i])
        moved_cost = total_tardiness(moved, p, d)
        if moved_cost >= cost:  # not a test of the gain: one of mere rounding noise could lead in circles
            return order
        order, cost = moved, moved_cost


def insertion_gains(p: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Total tardiness saved by moving the job at position i to position j: entry [i, j], for all at once.

    `p` and `d` are in the order of the sequence. Let L be the lateness of another job k. If job i leaves its
    place ahead of k, k's tardiness falls by L⁺ − (L − p_i)⁺ = clip(L, 0, p_i); if job i is put ahead of k, it
    grows by (L + p_i)⁺ − L⁺ = clip(L + p_i, 0, p_i). A running sum over k adds up the jobs between i and j.
    """
    n = len(p)
    length = p[:, None]
    end = np.cumsum(p)
    late = end - d
    earlier = np.tri(n, k=-1, dtype=bool)  # [i, k]: k comes before i
    effect = np.clip(late + length * earlier, 0, length)
    np.fill_diagonal(effect, 0)
    total = np.cumsum(effect, axis=1)
    others = total - np.diagonal(total)[:, None] - effect * earlier
    finish = end + (length - p) * earlier  # of job i at position j
    own = np.maximum(finish - d[:, None], 0) - np.maximum(late, 0)[:, None]
    gain: np.ndarray = others - own
    return gain


def total_tardiness(order: np.ndarray, p: np.ndarray, d: np.ndarray) -> float:
    """Total tardiness of a sequence."""
    return float(np.maximum(np.cumsum(p[order]) - d[order], 0).sum())


def mdd_order(p: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Order of the jobs by MDD: at every step the remaining job of lowest score."""
    order = np.lexsort((p, d))  # argmin takes the first of equals: ties go by (d, p)
    t = 0.0
    for i in range(len(order)):
        rest = order[i:]
        k = int(np.argmin(priority(p[rest], d[rest], t)))
        rest[: k + 1] = np.roll(rest[: k + 1], 1)  # bring job k to the front, keep the others in (d, p) order
        t += float(p[rest[0]])
    return order


def priority(p: np.ndarray, d: np.ndarray, t: float) -> np.ndarray:
    """Score of each remaining job at time t: the due date, or the earliest finish if that is later."""
    score: np.ndarray = np.maximum(t + p, d)
    return score
