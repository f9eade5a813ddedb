# Tries to return an array that shows one thing and holds another; stopped by the copy into an array and the scorer.
# verdict: invalid_decision; alone: scorer
import numpy as np


class Order(np.ndarray):
    def __iter__(self):
        return iter(())


def order(p):
    return np.zeros(len(p), dtype=int).view(Order)
