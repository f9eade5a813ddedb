"""What a heuristic is shown of the open batch and the trie: compiled, since it is put together for every question."""

from __future__ import annotations

import numpy as np

from engine_bridge.jit import compiled
from problems.base import Array


@compiled
def look(nodes: Array, requests: Array, waiting: Array, loaded: Array, free: int) -> tuple[Array, Array, Array]:
    """The requests that fit into the open batch, and the values of the entry's fields.

    Args:
        nodes: (3, V) int64: parent (−1: root; parents first), tokens, depth.
        requests: (4, n) int64: leaf, kv, depth-first position, head of the one-level group (−1: alone).
        waiting: (n,) bool, the requests in no batch yet. loaded: (V,) bool, the nodes the open batch has loaded.
        free: KV tokens the open batch has left.

    Returns:
        (m,) int64 numbers of the requests that fit; (17, m) float64 fields of `request`, (4,) of `trie`.
    """
    users, need = _demand(nodes, requests, waiting, loaded)
    paths, fair = _paths(nodes, users, loaded)
    depth, leaf, kv = nodes[2], requests[0], requests[1]
    shown = np.empty(len(leaf), dtype=np.int64)
    totals = np.zeros(4)
    m = 0
    for r in range(len(leaf)):
        if not waiting[r]:
            continue
        v = leaf[r]
        totals[0] += 1
        totals[1] += depth[v]
        totals[3] += kv[r]
        if depth[v] - paths[0, v] + kv[r] <= free:
            shown[m] = r
            m += 1
    for v in range(len(users)):
        if users[v]:
            totals[2] += nodes[1, v]
    fields = np.empty((17, m))
    for i in range(m):
        _fill(fields[:, i], shown[i], nodes, requests, users, need, paths, fair)
    return shown[:m].copy(), fields, totals


@compiled
def _demand(nodes: Array, requests: Array, waiting: Array, loaded: Array) -> tuple[Array, Array]:
    """For each node, the waiting requests at or below it, and the KV tokens to take them all but for the path above."""
    parent, tokens, leaf, kv = nodes[0], nodes[1], requests[0], requests[1]
    users = np.zeros(len(parent), dtype=np.int64)
    need = np.zeros(len(parent), dtype=np.int64)
    for r in range(len(leaf)):
        if waiting[r]:
            users[leaf[r]] += 1
            need[leaf[r]] += kv[r]
    for v in range(len(parent) - 1, -1, -1):
        if users[v] and not loaded[v]:
            need[v] += tokens[v]
        if parent[v] >= 0:
            users[parent[v]] += users[v]
            need[parent[v]] += need[v]
    return users, need


@compiled
def _paths(nodes: Array, users: Array, loaded: Array) -> tuple[Array, Array]:
    """What is known of the path to each node that waiting requests use.

    Returns:
        (3, V) int64: tokens loaded on it; the deepest node on it that two waiting requests share, and the topmost
        that is not loaded (−1: none). (2, V): fair shares of all its nodes, and of those not loaded.
    """
    parent, tokens, depth = nodes
    paths = np.full((3, len(parent)), -1, dtype=np.int64)
    fair = np.zeros((2, len(parent)))
    paths[0] = 0
    for v in range(len(parent)):
        if users[v] == 0:
            continue
        if parent[v] >= 0:
            paths[:, v] = paths[:, parent[v]]
            fair[:, v] = fair[:, parent[v]]
        share = tokens[v] / users[v]
        fair[0, v] += share
        if loaded[v]:
            paths[0, v] = depth[v]
        else:
            fair[1, v] += share
            if paths[2, v] < 0:
                paths[2, v] = v
        if users[v] > 1:
            paths[1, v] = v
    return paths, fair


@compiled
def _fill(
    row: Array, r: int, nodes: Array, requests: Array, users: Array, need: Array, paths: Array, fair: Array
) -> None:
    """The fields of request r, in the order of the entry."""
    v, kv = requests[0, r], requests[1, r]
    path, shared = nodes[2, v], paths[0, v]
    top = paths[2, v] if paths[2, v] >= 0 else v
    head = requests[3, r]
    row[0], row[1], row[2], row[3] = path, shared, path - shared, kv
    row[4], row[5] = r, requests[2, r]
    row[6], row[7], row[8] = _below(paths[1, v], path - shared + kv, nodes, users, need, paths)
    row[9], row[10] = users[top], need[top]
    row[11], row[12] = fair[0, v], fair[1, v]
    row[13] = head if head >= 0 else len(users) + r
    row[14], row[15], row[16] = _below(head, path - shared + kv, nodes, users, need, paths)


@compiled
def _below(node: int, alone: int, nodes: Array, users: Array, need: Array, paths: Array) -> tuple[int, int, int]:
    """Waiting requests below a node, its depth, and the KV tokens to take them all; for −1: one request `alone`."""
    if node < 0:
        return 1, 0, alone
    above = nodes[2, node] - nodes[1, node] - paths[0, node]  # not loaded above it; negative if the node is loaded
    return users[node], nodes[2, node], need[node] + max(above, 0)
