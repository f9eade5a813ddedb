"""Least new: the request that takes least of the batch's KV goes first.

Source: shortest job first, with what has to be loaded as the length.
Tag: inspired by shortest job first
Deviations: the length depends on the open batch.
"""

from types import SimpleNamespace

import numpy as np


def join_score(request: SimpleNamespace, batch: SimpleNamespace, trie: SimpleNamespace) -> np.ndarray:
    """Score of each request that fits: KV tokens that it adds."""
    score: np.ndarray = request.new + request.kv
    return score
