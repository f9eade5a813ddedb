"""Least tokens first, but what cannot meet its deadline any more goes last.

Source: J. M. Moore (1968), An n job, one machine sequencing algorithm for minimizing the number of late jobs,
Management Science 15: long jobs are the ones to give up.
Tag: inspired by
Deviations: a priority instead of the algorithm; the deadline only tells which requests are lost.
"""

from typing import Any

import numpy as np


def priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: its tokens, +inf where it would be late even alone."""
    alone = np.ceil(requests.prompt / state.budget) - 1 + requests.output
    tokens = requests.prompt + requests.output
    score: np.ndarray = np.where(state.now + alone > requests.deadline, np.inf, tokens)
    return score
