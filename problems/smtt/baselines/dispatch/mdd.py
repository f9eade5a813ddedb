"""MDD: smallest modified due date first.

Source: K. R. Baker and J. W. M. Bertrand (1982), A dynamic priority rule for scheduling against due-dates,
J. Oper. Manag. 3.
Tag: faithful
Deviations: none; ties go to the earlier due date, then to the shorter job.
"""

import numpy as np


def priority(p: np.ndarray, d: np.ndarray, t: float) -> np.ndarray:
    """Score of each remaining job at time t: the due date, or the earliest finish if that is later."""
    score: np.ndarray = np.maximum(t + p, d)
    return score
