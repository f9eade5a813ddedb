"""PSK: from shortest to longest, but a job with room to spare gives way to a more urgent one.

Source: S. S. Panwalkar, M. L. Smith and C. P. Koulamas (1993), A heuristic for the single machine tardiness
problem, Eur. J. Oper. Res. 70.
Tag: faithful
Deviations: none.
"""

import numpy as np


def schedule(p: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Order of the jobs: at every step the active job."""
    jobs = np.lexsort((d, p))
    rest = list(zip(p[jobs].tolist(), d[jobs].tolist(), jobs.tolist(), strict=True))
    order, t = [], 0
    while rest:
        k = active(rest, t)
        t += rest[k][0]
        order.append(rest.pop(k)[2])
    return np.array(order, dtype=np.int64)


def active(rest: list[tuple[float, float, int]], t: float) -> int:
    """Position of the job to schedule at time t among `rest`, tuples (p, d, job) in SPT order.

    The first job is active until one further on is due earlier, and so forth; the pass ends early at a job
    behind which the active one would be late. Lengths only grow along the pass, so the same test stops at an
    active job that cannot even be early itself.
    """
    k = 0
    for j, (p_j, d_j, _) in enumerate(rest):
        if t + p_j >= rest[k][1]:
            break
        if d_j < rest[k][1]:
            k = j
    return k
