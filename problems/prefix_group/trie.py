"""The prefix trie of an instance, renumbered so that every parent comes before its children."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from problems.base import Array, Instance


@dataclass(frozen=True, slots=True)
class Trie:
    """The trie of one instance: V nodes, n requests; all arrays int64, nodes numbered parents first.

    Only nodes that some request uses are kept; the others are never loaded.
    """

    parent: Array
    """(V,) The node above, −1 for a root."""
    tokens: Array
    """(V,) Prompt tokens of the node itself, l_v."""
    depth: Array
    """(V,) Prompt tokens from the root to the node, both included."""
    leaf: Array
    """(n,) The node at which the request's prompt ends."""
    kv: Array
    """(n,) KV tokens the request needs for itself while it decodes, k_r."""
    cap: int
    """M: KV tokens a batch may hold."""
    fixed: int
    """F: what every batch costs, in tokens."""

    def climb(self, values: Array) -> Array:
        """(V,) The sum of `values` (V,) over each node and everything below it."""
        total = values.copy()
        for node in range(len(total) - 1, -1, -1):
            if self.parent[node] >= 0:
                total[self.parent[node]] += total[node]
        return total

    def at_leaves(self, values: Array) -> Array:
        """(V,) The sum of the requests' `values` (n,) at the node where their prompt ends."""
        total = np.zeros(len(self.parent), dtype=np.int64)
        np.add.at(total, self.leaf, values)
        return total


def levels(parent: Array) -> Array:
    """(V,) Number of nodes above each node; −1 for nodes on a cycle or below one."""
    level = np.full(len(parent), -1, dtype=np.int64)
    current, reached = np.flatnonzero(parent < 0), 0
    order = np.argsort(parent, kind="stable")
    first = np.searchsorted(parent[order], np.arange(len(parent) + 1))
    while len(current):
        level[current] = reached
        counts = first[current + 1] - first[current]
        starts = np.repeat(first[current] - np.cumsum(counts) + counts, counts)
        current, reached = order[starts + np.arange(counts.sum())], reached + 1
    return level


def trie_of(instance: Instance) -> Trie:
    """The trie of a valid instance."""
    parent, tokens, leaf = instance["parent"], instance["tokens"], instance["leaf"]
    used = np.zeros(len(parent), dtype=bool)
    current = np.unique(leaf)
    while len(current):
        used[current] = True
        above = parent[current]
        current = np.unique(above[above >= 0])
        current = current[~used[current]]
    level = levels(parent)
    order = np.lexsort((np.arange(len(parent)), level))
    order = order[used[order]]
    number = np.full(len(parent) + 1, -1, dtype=np.int64)  # one more, so that parent −1 stays −1
    number[order] = np.arange(len(order))
    depth = tokens[order].copy()
    upper = number[parent[order]]
    for node, above in enumerate(upper.tolist()):
        if above >= 0:
            depth[node] += depth[above]
    return Trie(
        parent=upper,
        tokens=tokens[order],
        depth=depth,
        leaf=number[leaf],
        kv=instance["kv"],
        cap=int(instance["M"]),
        fixed=int(instance["F"]),
    )
