"""WI: adjacent interchanges, from EDD to a local optimum.

Source: L. J. Wilkerson and J. D. Irwin (1971), An improved method for scheduling independent tasks,
AIIE Trans. 3.
Tag: inspired by Wilkerson & Irwin 1971
Deviations: their start and their test for two neighbours; the walk (forward, one step back after an
interchange) stands for their lists of scheduled and unscheduled jobs.
"""

import numpy as np


def schedule(p: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Order in which no i, j in a row from time t have max(t + p_j, d_j) < max(t + p_i, d_i)."""
    order = np.lexsort((p, d))
    jobs = list(zip(order.tolist(), p[order].tolist(), d[order].tolist(), strict=True))
    start = [0] * len(jobs)  # start[k] is when position k starts; kept true up to the pair looked at
    k = 1
    while k < len(jobs):
        t = start[k - 1]
        (_, p_i, d_i), (_, p_j, d_j) = jobs[k - 1], jobs[k]
        if max(t + p_j, d_j) < max(t + p_i, d_i):
            jobs[k - 1], jobs[k] = jobs[k], jobs[k - 1]
            k = max(k - 1, 1)  # the only earlier pair this can have put out of order
        else:
            start[k] = t + p_i
            k += 1
    return np.array([job for job, _, _ in jobs], dtype=np.int64)
