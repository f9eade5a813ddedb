"""The combinatorial bound: in how many batches each node must be loaded, at least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from problems.base import Array
from problems.prefix_group.trie import Trie


@dataclass(frozen=True, slots=True)
class Loads:
    """Least numbers of batches: in which each node is loaded, (V,) int64, and in all."""

    nodes: Array
    batches: int

    def bound(self, trie: Trie) -> int:
        """Σ_v l_v · loads of v + F · batches."""
        return int((trie.tokens * self.nodes).sum()) + trie.fixed * self.batches


def least_loads(trie: Trie) -> Loads:
    """Lower bounds on how often each node is loaded, from the leaves up.

    A batch that loads v has M − depth_v tokens left for what lies below v: each child c as often as it must be
    loaded, with what lies below it, and the requests' own KV. So with need_v = Σ_{c child of v} (l_c·loads_c + need_c)
    + Σ_{r ends at v} k_r, v is loaded in at least loads_v = max(1, ⌈need_v / (M − depth_v)⌉) batches. Above the roots
    depth is 0, and the same quotient counts the batches. (Counting children as often as they are loaded sharpens
    the plain bound, which counts them once.)
    """
    need = trie.at_leaves(trie.kv)
    loads = np.ones(len(need), dtype=np.int64)
    total = 0
    for v in range(len(need) - 1, -1, -1):
        loads[v] = max(1, -(-int(need[v]) // (trie.cap - int(trie.depth[v]))))
        carried = int(need[v]) + int(trie.tokens[v]) * int(loads[v])
        if trie.parent[v] >= 0:
            need[trie.parent[v]] += carried
        else:
            total += carried
    return Loads(loads, -(-total // trie.cap))
