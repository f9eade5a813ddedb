"""Panneerselvam's greedy rule: largest slack of the remaining work per unit of processing time first.

Source: R. Panneerselvam (2006), Simple heuristic to minimize total tardiness in a single machine scheduling
problem, Int. J. Adv. Manuf. Technol. 30.
Tag: inspired by Panneerselvam 2006, known to us through the code released with arXiv 2510.24013
Deviations: ties go to the earlier due date, then to the shorter job; a job of length 0 counts as one of
length 1e-100. The rule is poor: it sets the due date against the remaining work instead of the time.
"""

import numpy as np


def priority(p: np.ndarray, d: np.ndarray, t: float) -> np.ndarray:
    """Score of each remaining job: −(P − d) / p, where P is the processing time of all that remain."""
    score: np.ndarray = (d - p.sum()) / np.maximum(p, 1e-100)
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
