"""Shortest job first, by output length.

Source: W. E. Smith (1956), Various optimizers for single-stage production, Nav. Res. Logist. Q. 3 (shortest processing
time first); in LLM serving the job's length is the number of tokens it generates.
Tag: faithful
Deviations: the output length is known, not predicted.
"""

from typing import Any

import numpy as np


def priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: how many tokens it generates."""
    score: np.ndarray = requests.output
    return score
