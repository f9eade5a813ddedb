"""FCFS: first come, first served, running requests before waiting ones; vLLM's default.

Source: W. Kwon et al. (2023), Efficient memory management for large language model serving with PagedAttention,
SOSP; the scheduler of vLLM V1 (checked in 0.9.2 … 0.33).
Tag: faithful
Deviations: none; every decision is left as the engine makes it, preempted requests at the front included.
"""

from typing import Any

import numpy as np


def rank_waiting(view: Any) -> np.ndarray:
    """Score of each waiting request: all equal, so that the order of arrival stays."""
    return np.zeros(len(view.arrival))
