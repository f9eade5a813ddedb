"""Group order: BatchLLM's one-level groups, in depth-first order.

Source: Z. Zheng et al. (2024), BatchLLM, arXiv 2412.03594: one level of shared prefixes by dynamic programming.
Tag: inspired by BatchLLM
Deviations: groups come in depth-first order, not by their ratio of decode to prompt length.
"""

from types import SimpleNamespace

import numpy as np


def join_score(request: SimpleNamespace, batch: SimpleNamespace, trie: SimpleNamespace) -> np.ndarray:
    """Score of each request that fits: the group begun first, then its group's number."""
    begun = (batch.size > 0) & (request.group_depth > 0) & (request.shared >= request.group_depth)
    score: np.ndarray = np.where(begun, -1.0, request.group)
    return score
