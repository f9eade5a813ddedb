"""Best fit: the request that leaves the batch least room goes first.

Source: best-fit (here the same as first-fit) decreasing for bin packing (D. S. Johnson, 1973).
Tag: inspired by Johnson 1973
Deviations: bins are filled one after the other, and an item's size is what it adds to what is loaded.
"""

from types import SimpleNamespace

import numpy as np


def join_score(request: SimpleNamespace, batch: SimpleNamespace, trie: SimpleNamespace) -> np.ndarray:
    """Score of each request that fits: the room it would leave."""
    score: np.ndarray = batch.free - request.new - request.kv
    return score
