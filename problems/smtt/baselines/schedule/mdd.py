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
