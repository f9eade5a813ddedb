"""EDDC: the EDD challenger, from SPT towards EDD by interchanges that pass over early jobs only.

Source: Çetinkaya, Büyüktahtakın, Shojaee and Reddy (2025), Discovering Heuristics with LLMs for Mixed-Integer
Programs: Single-Machine Scheduling, arXiv 2510.24013, and the code released with it.
Tag: faithful
Deviations: from the text. As printed it starts from EDD order, where its loop never runs, and so equals EDD.
The released code starts from SPT order, and only that gives the averages they report; this is that version.
"""

import numpy as np


def schedule(p: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Order of the jobs: each, taken in SPT order, walks ahead past jobs due later that are still early."""
    order = np.lexsort((d, p)).tolist()
    length, due = p.tolist(), d.tolist()
    end = np.cumsum(p[order]).tolist()  # completion times, kept up to date
    for i in range(1, len(order)):
        j = i
        while j > 0 and due[order[j]] < due[order[j - 1]]:
            if due[order[j - 1]] > end[j - 1]:
                order[j - 1], order[j] = order[j], order[j - 1]
                end[j - 1] = (end[j - 2] if j > 1 else 0) + length[order[j - 1]]
            j -= 1  # in either case: without an interchange the walk goes on with the job that blocked it
    return np.array(order, dtype=np.int64)
