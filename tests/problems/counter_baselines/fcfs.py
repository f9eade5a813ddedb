"""First come, first served."""

import numpy as np


def priority(customers, state) -> np.ndarray:
    """Who has waited longest goes first."""
    return -customers.waited
