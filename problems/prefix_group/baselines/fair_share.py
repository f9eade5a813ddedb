"""Fair share: the request whose new tokens exceed its fair share of them least, per token it saves, goes first.

Source: cost sharing by equal shares (L. Shapley, 1953, for tree games: N. Megiddo, 1978).
Tag: inspired by Megiddo 1978
Deviations: ours; the share of a node is its tokens divided by the waiting requests that use it.
"""

from types import SimpleNamespace

import numpy as np


def join_score(request: SimpleNamespace, batch: SimpleNamespace, trie: SimpleNamespace) -> np.ndarray:
    """Score of each request that fits: unshared part of what it loads, less its share of what is already there."""
    score: np.ndarray = (request.new - request.fair_new) - (request.fair - request.fair_new)
    return score
