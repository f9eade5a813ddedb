# Tries to return a decision whose cost compares with nothing; stopped by the scorer.
# verdict: invalid_decision; alone: scorer
import numpy as np


class Order(list):
    def __array__(self, dtype=None, copy=None):
        return np.full(len(self), np.nan)


def order(p):
    p[:] = np.nan
    return Order(range(len(p)))
