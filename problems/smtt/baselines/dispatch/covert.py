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
