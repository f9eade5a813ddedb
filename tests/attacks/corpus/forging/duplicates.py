# Tries to do the shortest job again and again; stopped by the scorer.
# verdict: invalid_decision; alone: scorer
import numpy as np


def order(p):
    return np.full(len(p), np.argmin(p))
