"""Earliest deadline first, but what cannot meet its deadline any more goes last.

Source: J. R. Jackson (1955), see `edf`; late jobs go last in J. M. Moore (1968), An n job, one machine sequencing
algorithm for minimizing the number of late jobs, Management Science 15.
Tag: inspired by
Deviations: only jobs that are late even if started now are put back.
"""

from typing import Any

import numpy as np


def priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: its deadline, +inf where it would be late even alone."""
    alone = np.ceil(requests.prompt / state.budget) - 1 + requests.output
    score: np.ndarray = np.where(state.now + alone > requests.deadline, np.inf, requests.deadline)
    return score
