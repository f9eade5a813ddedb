"""AugMDD: MDD, and after every append the best move of one scheduled job to the end.

Source: J. C. Bean and J. J. Hall (1985), Accuracy of the modified due date rule, University of Michigan,
technical report 85-10; MDD: Baker and Bertrand (1982).
Tag: inspired by Bean & Hall 1985, known to us through arXiv 2510.24013 and the code released with it
Deviations: only a move that lowers the tardiness of the jobs placed so far is made; ties go to the job placed
first.
"""

import numpy as np


def schedule(p: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Order of the jobs: that of MDD, every append followed by the best move of one job to the end."""
    order = mdd_order(p, d)  # no move changes the time of a later append, so MDD can run ahead of the moves
    for size in range(2, len(order) + 1):
        move_one_to_end(order[:size], p, d)
    return order


def move_one_to_end(part: np.ndarray, p: np.ndarray, d: np.ndarray) -> None:
    """Move the job whose move to the end of `part` saves most total tardiness, if any saves; in place."""
    length, due = p[part], d[part]
    end = np.cumsum(length)
    late = np.maximum(end - due, 0)
    # Without job i ahead of it, a job of tardiness T is less tardy by min(p_i, T).
    saved = np.triu(np.minimum.outer(length, late), 1).sum(axis=1)
    gain = saved - (np.maximum(end[-1] - due, 0) - late)
    i = int(np.argmax(gain))
    if gain[i] > 0:
        part[i:] = np.roll(part[i:], -1)


def mdd_order(p: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Order of the jobs by MDD: at every step the remaining job of lowest score."""
    order = np.lexsort((p, d))  # argmin takes the first of equals: ties go by (d, p)
    t = 0.0
    for i in range(len(order)):
        rest = order[i:]
        k = int(np.argmin(priority(p[rest], d[rest], t)))
        rest[: k + 1] = np.roll(rest[: k + 1], 1)  # bring job k to the front, keep the others in (d, p) order
        t += float(p[rest[0]])
    return order


def priority(p: np.ndarray, d: np.ndarray, t: float) -> np.ndarray:
    """Score of each remaining job at time t: the due date, or the earliest finish if that is later."""
    score: np.ndarray = np.maximum(t + p, d)
    return score
