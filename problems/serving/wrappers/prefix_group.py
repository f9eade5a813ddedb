"""A rule for batches over a prefix trie as a policy: the open batch is what runs and what is cached.

The view says which requests share a prefix, not how long it is: that is taken to be the most that any of the group
finds cached, or, where none finds any, the group's shortest prompt. The trie has one level, the groups. Scores of
infinity, which close a batch, only put a request last.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

join_score: Callable[..., np.ndarray]


def rank_waiting(view: Any) -> np.ndarray:
    """Score of each waiting request: how well it joins."""
    path = view.prompt + view.output
    kv = np.maximum(view.predicted - view.output, 1)
    _, group = np.unique(np.where(view.group >= 0, view.group, -1 - view.id), return_inverse=True)
    size = np.bincount(group)
    shortest, cached = np.full(len(size), np.inf), np.zeros(len(size))
    np.minimum.at(shortest, group, path)
    np.maximum.at(cached, group, view.cached)
    common = np.where(size > 1, np.where(cached > 0, np.minimum(cached, shortest), shortest), 0.0)
    depth, sharers = common[group], size[group].astype(float)
    new = path - view.cached
    loaded = np.minimum(view.cached, depth)
    once = np.bincount(group, path - depth + kv) + common
    need = once[group] - np.minimum(cached[group], depth)
    places = np.arange(len(path), dtype=float)
    order = np.empty(len(path))
    order[np.lexsort((places, group))] = places
    request = SimpleNamespace(
        path=path,
        shared=view.cached,
        new=new,
        kv=kv,
        arrival=places,
        order=order,
        sharers=sharers,
        depth=depth,
        need=need,
        branch_size=sharers,
        branch_need=need,
        fair=path - depth + depth / sharers,
        fair_new=np.maximum(new - (depth - loaded), 0) + (depth - loaded) / sharers,
        group=group.astype(float),
        group_size=sharers,
        group_depth=depth,
        group_need=need,
    )
    used = view.total_blocks - view.free_blocks
    batch = SimpleNamespace(
        free=max(view.free_blocks * view.block_size, 1.0),
        loaded=used * view.block_size,
        size=view.running,
        closed=0.0,
        cap=view.total_blocks * view.block_size,
        fixed=view.max_tokens,
    )
    trie = SimpleNamespace(
        waiting=float(len(path)), prompts=path.sum(), tokens=(path - depth).sum() + common.sum(), kv=kv.sum()
    )
    return np.asarray(join_score(request, batch, trie))  # noqa: F821  defined above
