"""MDDC: the MDD challenger, a modified due date that penalises jobs long for their moment.

Source: Çetinkaya, Büyüktahtakın, Shojaee and Reddy (2025), Discovering Heuristics with LLMs for Mixed-Integer
Programs: Single-Machine Scheduling, arXiv 2510.24013.
Tag: faithful
Deviations: none; where all remaining jobs have length 0 at time 0, the quotients are 0.
"""

import numpy as np


def priority(p: np.ndarray, d: np.ndarray, t: float) -> np.ndarray:
    """Score of each remaining job at time t: max(1.1p + t, d)·(1 + ρ²/(1 + ρ²)) + p/(t + p̄)."""
    share = np.minimum(1, p / max(t + p.max(), 1e-100)) ** 2  # ρ²
    due = np.maximum(1.1 * p + t, d)
    score: np.ndarray = due * (1 + share / (1 + share)) + p / max(t + p.mean(), 1e-100)
    return score
