"""AugMDDC: MDDC, and after every append the best move of one scheduled job to the end.

Source: Çetinkaya, Büyüktahtakın, Shojaee and Reddy (2025), Discovering Heuristics with LLMs for Mixed-Integer
Programs: Single-Machine Scheduling, arXiv 2510.24013; the moves after J. C. Bean and J. J. Hall (1985).
Tag: faithful
Deviations: none; only a move that lowers the tardiness of the jobs placed so far is made, and ties go to the
job placed first.
"""

import numpy as np


def schedule(p: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Order of the jobs: that of MDDC, every append followed by the best move of one job to the end."""
    order = mddc_order(p, d)  # no move changes the time of a later append, so MDDC can run ahead of the moves
    for size in range(2, len(order) + 1):
        move_one_to_end(order[:size], p, d)
    return order


def move_one_to_end(part: np.ndarray, p: np.ndarray, d: np.ndarray) -> None:
    """Move the job whose move to the end of `part` saves most total tardiness, if any saves; in place."""
    length, due = p[part], d[part]
    end = np.cumsum(length)
    late = np.maximum(end - due, 0)
    # Without job i ahead of it, a job of tardiness T is less tardy by min(p_i, T).
    saved = np.triu(np.minimum.outer(length, late), 1).sum(axis=1)
    gain = saved - (np.maximum(end[-1] - due, 0) - late)
    i = int(np.argmax(gain))
    if gain[i] > 0:
        part[i:] = np.roll(part[i:], -1)


def mddc_order(p: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Order of the jobs by MDDC: at every step the remaining job of lowest score."""
    order = np.lexsort((p, d))  # argmin takes the first of equals: ties go by (d, p)
    t = 0.0
    for i in range(len(order)):
        rest = order[i:]
        k = int(np.argmin(priority(p[rest], d[rest], t)))
        rest[: k + 1] = np.roll(rest[: k + 1], 1)  # bring job k to the front, keep the others in (d, p) order
        t += float(p[rest[0]])
    return order


def priority(p: np.ndarray, d: np.ndarray, t: float) -> np.ndarray:
    """Score of each remaining job at time t: max(1.1p + t, d)·(1 + ρ²/(1 + ρ²)) + p/(t + p̄)."""
    share = np.minimum(1, p / max(t + p.max(), 1e-100)) ** 2  # ρ²
    due = np.maximum(1.1 * p + t, d)
    score: np.ndarray = due * (1 + share / (1 + share)) + p / max(t + p.mean(), 1e-100)
    return score
