"""Earliest deadline first.

Source: J. R. Jackson (1955), Scheduling a production line to minimize maximum tardiness, UCLA Management Science
Research Project 43.
Tag: faithful
Deviations: none.
"""

from typing import Any

import numpy as np


def priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: its deadline."""
    score: np.ndarray = requests.deadline
    return score
