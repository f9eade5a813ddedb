"""First come, first served: the order of vLLM's default scheduler.

Source: Kwon et al. (2023), Efficient Memory Management for Large Language Model Serving with PagedAttention, SOSP 2023.
Tag: faithful
Deviations: the order only; admission reserves a request's whole future, as nothing is preempted here.
"""

from typing import Any

import numpy as np


def priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: its arrival."""
    score: np.ndarray = requests.arrival
    return score
