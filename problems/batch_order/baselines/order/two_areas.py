"""Least use of the scarcer resources first: shares of token budget and KV capacity, added up.

Source: tokens/B + KV area/M, the machine time a request takes on both resources: W. E. Smith (1956), Various optimizers
for single-stage production, Nav. Res. Logist. Q. 3.
Tag: inspired by
Deviations: the rule is for one machine that does one job at a time.
"""

from typing import Any

import numpy as np


def priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: iterations' worth of the budget plus iterations' worth of the cache."""
    p, o = requests.prompt, requests.output
    score: np.ndarray = (p + o - 1) / state.budget + (o * p + o * (o - 1) / 2) / state.capacity
    return score
