"""Least slack first: what is left until the latest start that meets the deadline.

Source: the slack-time order of dynamic priorities: A. K. Mok (1983), Fundamental design problems of distributed systems
for the hard real-time environment, PhD thesis, MIT.
Tag: faithful
Deviations: the time needed is that of the request alone.
"""

from typing import Any

import numpy as np


def priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: deadline minus now minus its latency alone."""
    alone = np.ceil(requests.prompt / state.budget) - 1 + requests.output
    score: np.ndarray = requests.deadline - state.now - alone
    return score
