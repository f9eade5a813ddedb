"""Depth first: in depth-first order of the trie, skipping what does not fit.

Source: the order that is best for a single cache (L. Zheng et al., SGLang, NeurIPS 2024, theorem 3.1).
Tag: inspired by SGLang
Deviations: there requests run one after the other through one cache; here the order is cut into batches.
"""

from types import SimpleNamespace

import numpy as np


def join_score(request: SimpleNamespace, batch: SimpleNamespace, trie: SimpleNamespace) -> np.ndarray:
    """Score of each request that fits: its place in the depth-first walk."""
    score: np.ndarray = request.order
    return score
