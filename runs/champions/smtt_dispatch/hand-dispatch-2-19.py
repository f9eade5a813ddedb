# Idea: a longer view and more steps back, from an order in which length counts less.
import numpy as np


def priority(p, d, t):
    n = len(p)
    late_now = t + p >= d
    score = np.where(late_now, t + 1.3 * p, d + 0.3 * p)
    if n < 3:
        return score
    order = np.argsort(score, kind="stable")
    is_late = late_now[order]
    keep = np.where(is_late, np.cumsum(is_late) <= 6, np.cumsum(~is_late) <= 56)
    order = order[keep]
    w = len(order)
    later = np.tri(w, k=-1).T
    for _ in range(40):
        length, due = p[order], d[order]
        end = t + np.cumsum(length)
        late = np.maximum(end - due, 0.0)
        saved = (np.minimum(late, length[:, None]) * later).cumsum(axis=1)
        own = np.maximum(end - due[:, None], 0.0) - late[:, None]
        gain = (saved - own) * later
        i, j = divmod(int(gain.argmax()), w)
        if gain[i, j] <= 1e-9:
            break
        order = np.concatenate((order[:i], order[i + 1 : j + 1], order[i : i + 1], order[j + 1 :]))
    score[order[0]] = score.min() - 1.0
    return score
