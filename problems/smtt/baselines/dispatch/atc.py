"""ATC: apparent tardiness cost, look-ahead K = 2.

Source: A. P. J. Vepsalainen and T. E. Morton (1987), Priority rules for job shops with weighted tardiness
costs, Manag. Sci. 33.
Tag: faithful
Deviations: unit weights, one machine; p̄ is the mean over the remaining jobs; the index is compared through
its logarithm; a job of length 0 counts as one of length 1e-100.
"""

import numpy as np

K = 2.0


def priority(p: np.ndarray, d: np.ndarray, t: float) -> np.ndarray:
    """Score of each remaining job at time t: K·p̄·(log p + slack⁺ / (K·p̄)).

    The index (1/p)·exp(−slack⁺ / (K·p̄)), largest first, underflows to 0 for every job with a long slack, and
    those would tie. Minus its logarithm, smallest first, is the same order and cannot underflow; the factor
    K·p̄ > 0 leaves the order alone and avoids the quotient, so that p̄ = 0 needs no case of its own.
    """
    slack = np.maximum(d - p - t, 0)
    score: np.ndarray = K * p.mean() * np.log(np.maximum(p, 1e-100)) + slack
    return score
