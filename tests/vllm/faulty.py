"""SJF, until a request with a certain prediction waits: then it fails in the way that the number stands for."""

import os

import numpy as np


def hang():
    """Never end."""
    while True:
        pass


def fail():
    """Raise."""
    raise ValueError("not today")


FAULTS = {
    1: lambda: np.full(6, np.nan),
    2: lambda: np.zeros(1),
    3: lambda: "the first shall be the last",
    4: fail,
    5: hang,
    6: lambda: os._exit(3),
    7: lambda: os.kill(os.getppid(), 9),
    8: lambda: np.ones(1 << 40),
}


def rank_waiting(view):
    """Scores, or what an engine must survive."""
    fault = FAULTS.get(int(view.predicted.max()) - 100_000)
    return fault() if fault else view.predicted - view.output
