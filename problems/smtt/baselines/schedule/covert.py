"""COVERT: cost over time, look-ahead k = 2.

Source: D. C. Carroll (1965), Heuristic sequencing of single and multiple component jobs, PhD thesis, MIT.
Tag: faithful
Deviations: one machine, so the expected waiting time of a job is k·p; EDD when no job has any urgency; a job
of length 0 counts as one of length 1e-100.
"""

import numpy as np

K = 2.0


def priority(p: np.ndarray, d: np.ndarray, t: float) -> np.ndarray:
    """Score of each remaining job at time t: −(1/p)·(1 − slack⁺ / (k·p))⁺, or the due date if all are 0."""
    slack = np.maximum(d - p - t, 0)
    length = np.maximum(p, 1e-100)
    urgency = np.maximum(1 - slack / (K * length), 0) / length
    return -urgency if urgency.any() else d


def schedule(p: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Order of the jobs: at every step the remaining job of lowest score."""
    order = np.lexsort((p, d))  # argmin takes the first of equals: ties go by (d, p)
    t = 0.0
    for i in range(len(order)):
        rest = order[i:]
        k = int(np.argmin(priority(p[rest], d[rest], t)))
        rest[: k + 1] = np.roll(rest[: k + 1], 1)  # bring job k to the front, keep the others in (d, p) order
        t += float(p[rest[0]])
    return order
