"""Branch fit: best-fit decreasing over branches of the trie, those that fit whole first.

Source: best-fit decreasing for bin packing (D. S. Johnson, 1973), with branches of the trie as the items.
Tag: inspired by Johnson 1973
Deviations: ours. A batch begins with the largest branch. Then of the branches that fit whole the one that shares most
with the batch goes first, of equals the largest; if none fits whole, the request whose new tokens are needed least by
others.
"""

from types import SimpleNamespace

import numpy as np

SIZE = 1e-3
"""How much the size of a branch counts beside what it shares: enough to break ties."""


def join_score(request: SimpleNamespace, batch: SimpleNamespace, trie: SimpleNamespace) -> np.ndarray:
    """Score of each request that fits."""
    whole = -request.shared - SIZE * request.branch_need
    split = batch.cap + request.new - request.fair_new
    fitting = np.where(request.branch_need > batch.free, split, whole)
    score: np.ndarray = np.where(batch.size > 0, fitting, -request.branch_need)
    return score
