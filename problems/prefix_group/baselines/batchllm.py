"""BatchLLM: requests of one shared prefix together, groups with the larger ratio of decoding to prompt first.

Source: Z. Zheng et al. (2024), BatchLLM, arXiv 2412.03594: one level of shared prefixes by dynamic programming,
groups ordered by the ratio of decode to prompt length, batches limited by the use of KV.
Tag: inspired by BatchLLM
Deviations: the groups (`request.group`) are computed by trusted code; the ratio is that of the requests shown; a batch
is a unit here, in BatchLLM it is what the KV memory holds at a time.
"""

from types import SimpleNamespace

import numpy as np


def join_score(request: SimpleNamespace, batch: SimpleNamespace, trie: SimpleNamespace) -> np.ndarray:
    """Score of each request that fits: the group begun first, then groups by their ratio, each together."""
    _, member = np.unique(request.group, return_inverse=True)
    decode = np.bincount(member, request.kv)
    prompt = np.bincount(member, request.path - request.group_depth) + request.group_depth[_first(member)]
    rank = np.empty(len(decode))
    rank[np.argsort(-decode / prompt, kind="stable")] = np.arange(len(decode))
    begun = (batch.size > 0) & (request.group_depth > 0) & (request.shared >= request.group_depth)
    score: np.ndarray = np.where(begun, -1.0, rank[member])
    return score


def _first(member: np.ndarray) -> np.ndarray:
    """Where each group occurs first."""
    return np.unique(member, return_index=True)[1]
