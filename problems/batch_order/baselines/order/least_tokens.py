"""Least work first, in tokens of the budget: prompt and output.

Source: W. E. Smith (1956), Various optimizers for single-stage production, Nav. Res. Logist. Q. 3 (shortest processing
time first), with the tokens that a request takes of the budget as its processing time.
Tag: inspired by
Deviations: the rule is for one machine that does one job at a time.
"""

from typing import Any

import numpy as np


def priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: tokens it will take of the budget."""
    score: np.ndarray = requests.prompt + requests.output
    return score
