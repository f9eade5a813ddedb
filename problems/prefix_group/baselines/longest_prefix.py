"""Longest prefix: the request that shares most prompt tokens with the open batch goes first.

Source: longest shared prefix first, the cache-aware scheduling of SGLang (L. Zheng et al., NeurIPS 2024, §3).
Tag: inspired by SGLang
Deviations: what counts as cached is what the open batch has loaded; ties go to the earlier request.
"""

from types import SimpleNamespace

import numpy as np


def join_score(request: SimpleNamespace, batch: SimpleNamespace, trie: SimpleNamespace) -> np.ndarray:
    """Score of each request that fits: minus the tokens already loaded."""
    score: np.ndarray = -request.shared
    return score
