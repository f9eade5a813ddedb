"""BatchLLM's one-level prefixes: which node of the trie each request is grouped under."""

from __future__ import annotations

import numpy as np

from problems.base import Array
from problems.prefix_group.trie import Trie


def one_level_groups(trie: Trie) -> Array:
    """(n,) The node whose prefix each request shares with its group; −1 for a request that stands alone.

    The trie is flattened to one level of shared prefixes by the antichain that saves most prompt tokens,
    f(v) = max((n_v − 1)·depth_v, Σ_children f), n_v being the requests below v (Zheng et al., arXiv 2412.03594,
    §4.1). Of equal savings the deeper choice is kept only if it is better, so that groups are as large as can be.
    """
    size = len(trie.parent)
    requests = trie.climb(trie.at_leaves(np.ones(len(trie.leaf), dtype=np.int64)))
    own = (requests - 1) * trie.depth
    below = np.zeros(size, dtype=np.int64)
    for node in range(size - 1, -1, -1):
        if trie.parent[node] >= 0:
            below[trie.parent[node]] += max(own[node], below[node])
    heads = np.full(size, -1, dtype=np.int64)
    for node, above in enumerate(trie.parent.tolist()):
        if above >= 0 and heads[above] >= 0:
            heads[node] = heads[above]
        elif own[node] > 0 and own[node] >= below[node]:
            heads[node] = node
    result: Array = heads[trie.leaf]
    return result


def depth_first(trie: Trie) -> Array:
    """(n,) Position of each request when the trie is walked depth first, children and requests in order of arrival."""
    size = len(trie.parent)
    first = np.full(size, len(trie.leaf), dtype=np.int64)
    np.minimum.at(first, trie.leaf, np.arange(len(trie.leaf)))
    for node in range(size - 1, -1, -1):
        if trie.parent[node] >= 0:
            first[trie.parent[node]] = min(first[trie.parent[node]], first[node])
    children: list[list[int]] = [[] for _ in range(size)]
    roots: list[int] = []
    for node in np.argsort(first, kind="stable").tolist():
        (children[trie.parent[node]] if trie.parent[node] >= 0 else roots).append(node)
    entered = np.empty(size, dtype=np.int64)
    stack, count = roots[::-1], 0
    while stack:
        node = stack.pop()
        entered[node], count = count, count + 1
        stack.extend(reversed(children[node]))
    position = np.empty(len(trie.leaf), dtype=np.int64)
    position[np.lexsort((np.arange(len(trie.leaf)), entered[trie.leaf]))] = np.arange(len(trie.leaf))
    return position
