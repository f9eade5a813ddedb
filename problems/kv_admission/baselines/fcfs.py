"""FCFS: first come, first served.

Source: W. Kwon et al. (2023), Efficient memory management for large language model serving with PagedAttention,
SOSP: vLLM's order of admission.
Tag: inspired by vLLM
Deviations: a request is admitted only if all rounds to come fit, instead of being preempted later.
"""

from typing import Any

import numpy as np


def admit_priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: its arrival."""
    score: np.ndarray = requests.arrival
    return score
