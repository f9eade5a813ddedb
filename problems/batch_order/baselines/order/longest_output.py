"""Longest output first: the longest tails start earliest.

Source: J. R. Jackson (1955), Scheduling a production line to minimize maximum tardiness, UCLA Management Science
Research Project 43: for the makespan of jobs with tails, the largest tail goes first.
Tag: faithful
Deviations: the tail is the decode; the machine is the token budget.
"""

from typing import Any

import numpy as np


def priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: minus the tokens it generates."""
    score: np.ndarray = -requests.output
    return score
