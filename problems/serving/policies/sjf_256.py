"""Shortest job first in steps of 256 tokens: what the two best plain rules are worth together.

Source: Smith's rule on predicted outputs (`sjf`) with the stall-free batches of A. Agrawal et al. (2024), Sarathi-Serve
(`sarathi_512`), and a budget at which a step takes hardly longer than reading the weights.
Tag: inspired by Sarathi
Deviations: ours. The budget suits the ideal H200 profile, which has no fixed cost of a step; a real engine may want
more.
"""

from typing import Any

import numpy as np

BUDGET = 256


def rank_waiting(view: Any) -> np.ndarray:
    """Score of each waiting request: tokens it is still predicted to generate."""
    score: np.ndarray = view.predicted - view.output
    return score


def token_budget(view: Any) -> float:
    """Tokens in this step."""
    return float(min(BUDGET, view.max_tokens))
