"""LPM: longest prefix match first, SGLang's default, so that what is in the cache is used before it is evicted.

Source: L. Zheng et al. (2024), SGLang: efficient execution of structured language model programs, NeurIPS; its
scheduler turns to FCFS while more than 128 requests wait.
Tag: faithful
Deviations: a request is not put off because another one that waits shares its prefix.
"""

from typing import Any

import numpy as np

LONGEST_QUEUE = 128


def rank_waiting(view: Any) -> np.ndarray:
    """Score of each waiting request: minus the tokens it would find in the cache."""
    score: np.ndarray = -view.cached
    return score if view.waiting <= LONGEST_QUEUE else np.zeros(len(score))
