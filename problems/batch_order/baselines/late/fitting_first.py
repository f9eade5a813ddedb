"""Least tokens first, but what surely fits into the cache before what may block it.

Source: the skipping of requests that do not fit, as in list scheduling: R. L. Graham (1969), Bounds on multiprocessing
timing anomalies, SIAM J. Appl. Math. 17.
Tag: inspired by
Deviations: a request counts as fitting if its peak is no larger than what those running will never need.
"""

from typing import Any

import numpy as np


def priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: its tokens, and the capacity on top where it may not fit."""
    tokens = requests.prompt + requests.output
    score: np.ndarray = tokens + (tokens - 1 > state.spare_kv) * 2 * state.capacity
    return score
