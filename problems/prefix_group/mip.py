"""Prefix grouping as a mixed-integer program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pulp

from problems.prefix_group.combinatorial import Loads
from problems.prefix_group.trie import Trie


def batch_model(trie: Trie, loads: Loads, batches: int, *, relaxed: bool = False) -> pulp.LpProblem:
    """Assign requests to at most `batches` batches: minimise Σ_{v,b} l_v u_vb + F Σ_b y_b.

    x_rb = 1 if request r is in batch b, u_vb = 1 if the batch loads node v, y_b = 1 if it is used. A node is
    loaded for the requests that end there and for its children. What lies below v takes at most (M − depth_v)·u_vb:
    no weaker than one row Σ_v l_v u_vb + Σ_r k_r x_rb ≤ M y_b, and tighter in the relaxation. Σ_b u_vb ≥ loads_v
    is the combinatorial bound. Symmetry: batches are used in order, and the k-th largest request goes to one of the
    first k.

    The cost is integral. Variables are named `x_r_b`, `u_v_b`, `y_b`, all counted from 0; `relaxed` leaves
    integrality out, for the bound of the linear program.
    """
    model = pulp.LpProblem("prefix_group", pulp.LpMinimize)
    n, every, kind = len(trie.leaf), range(batches), pulp.LpContinuous if relaxed else pulp.LpBinary
    tokens = trie.tokens.tolist()
    larger = np.argsort(np.argsort(-(trie.depth[trie.leaf] + trie.kv), kind="stable")).tolist()
    x = [[model.add_variable(f"x_{r}_{b}", 0, 1, kind) for b in every[: larger[r] + 1]] for r in range(n)]
    u = [[model.add_variable(f"u_{v}_{b}", 0, 1) for b in every] for v in range(len(tokens))]
    y = [model.add_variable(f"y_{b}", 0, 1, kind) for b in every]
    model += pulp.lpSum(tokens[v] * use for v, uses in enumerate(u) for use in uses) + trie.fixed * pulp.lpSum(y)
    for places in x:
        model += pulp.lpSum(places) == 1
    for uses, least in zip(u, loads.nodes.tolist(), strict=True):
        model += pulp.lpSum(uses) >= least
    model += pulp.lpSum(y) >= min(loads.batches, batches)
    for b in every[1:]:
        model += y[b - 1] >= y[b]
    for row in _rows(trie, x, [*u, y]):
        model += row
    return model


def _rows(trie: Trie, x: list[list[Any]], u: list[list[Any]]) -> Iterator[Any]:
    """What a batch loads for what, and what fits below each node; the last of `u` stands for above the roots."""
    tokens, kv = trie.tokens.tolist(), trie.kv.tolist()
    rooms = [*(trie.cap - trie.depth).tolist(), trie.cap]
    for v, (children, ending, nodes, requests) in enumerate(_below(trie)):
        for b, loaded in enumerate(u[v]):
            yield from (u[w][b] <= loaded for w in children)
            yield from (x[r][b] <= loaded for r in ending if b < len(x[r]))
            if len(requests) > 1:
                taken = [tokens[w] * u[w][b] for w in nodes] + [kv[r] * x[r][b] for r in requests if b < len(x[r])]
                yield pulp.lpSum(taken) <= rooms[v] * loaded


def _below(trie: Trie) -> list[tuple[list[int], list[int], list[int], list[int]]]:
    """For each node, and last for what is above the roots: children, requests that end there, and all further down."""
    size = len(trie.parent)
    children: list[list[int]] = [[] for _ in range(size + 1)]
    ending: list[list[int]] = [[] for _ in range(size + 1)]
    for v, above in enumerate(trie.parent.tolist()):
        children[above].append(v)  # −1 is the last
    for r, v in enumerate(trie.leaf.tolist()):
        ending[v].append(r)
    nodes: list[list[int]] = [[] for _ in range(size + 1)]
    requests: list[list[int]] = [[] for _ in range(size + 1)]
    for v in [*range(size - 1, -1, -1), size]:
        nodes[v] = [w for c in children[v] for w in (c, *nodes[c])]
        requests[v] = [*ending[v], *(r for c in children[v] for r in requests[c])]
    return list(zip(children, ending, nodes, requests, strict=True))
