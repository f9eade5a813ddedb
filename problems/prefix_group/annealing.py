"""Simulated annealing: the best known partitions, beside which the bounds are stored."""

from __future__ import annotations

import numpy as np

from engine_bridge.jit import compiled
from problems.base import Array
from problems.prefix_group.groups import depth_first
from problems.prefix_group.trie import Trie

ROUNDS = 4
HOT, COLD = 0.02, 1e-4
"""First and last temperature, as parts of the KV cap."""


def anneal(trie: Trie, batch: Array, moves: int) -> Array:
    """A partition no dearer than `batch` (n,), after `moves` random moves; the same for the same arguments.

    A move takes the requests of one batch below some node to another batch; half of the moves exchange two such
    sets. It is undone if a batch would exceed the KV cap. Each of four rounds starts hot from the best partition
    of the round before.
    """
    order = np.argsort(depth_first(trie))
    leaf = trie.leaf[order]
    first = np.full(len(trie.parent), len(leaf), dtype=np.int64)
    last = np.zeros(len(trie.parent), dtype=np.int64)
    for i, v in enumerate(leaf.tolist()):
        while v >= 0:  # the requests at or below a node are first … last − 1 in depth-first order
            first[v], last[v] = min(first[v], i), i + 1
            v = int(trie.parent[v])
    nodes = np.stack((trie.parent, trie.tokens, first, last))
    found = batch[order]
    for seed in range(ROUNDS):
        requests = np.stack((leaf, trie.kv[order], found))
        found = _anneal(nodes, requests, trie.cap, trie.fixed, moves // ROUNDS, HOT * trie.cap, COLD * trie.cap, seed)
    result = np.empty_like(batch)
    result[order] = found
    _, numbered = np.unique(result, return_inverse=True)
    return numbered.astype(np.int64)


@compiled
def _move(
    taken: Array,
    target: int,
    place: Array,
    leaf: Array,
    kv: Array,
    parent: Array,
    tokens: Array,
    use: Array,
    held: Array,
) -> int:
    """Move requests to batch `target`; the change of Σ loaded tokens. `held`: (B, 2) KV tokens and requests."""
    change = 0
    for r in taken:
        source = place[r]
        v = leaf[r]
        less, more = 0, 0
        while v >= 0:
            use[v, source] -= 1
            if use[v, source] == 0:
                less += tokens[v]
            if use[v, target] == 0:
                more += tokens[v]
            use[v, target] += 1
            v = parent[v]
        held[source, 0] -= less + kv[r]
        held[target, 0] += more + kv[r]
        held[source, 1] -= 1
        held[target, 1] += 1
        place[r] = target
        change += more - less
    return change


@compiled
def _anneal(
    nodes: Array, requests: Array, cap: int, fixed: int, moves: int, hot: float, cold: float, seed: int
) -> Array:
    parent, tokens, first, last = nodes
    leaf, kv = requests[0], requests[1]
    n, batches = len(leaf), requests[2].max() + 2
    place, use, held = _start(parent, tokens, requests, batches)
    best = place.copy()
    total, least = 0, 0  # relative to the start
    np.random.seed(seed)
    there, back = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    cooling = (cold / hot) ** (1.0 / moves)
    temperature = hot
    for _ in range(moves):
        temperature *= cooling
        r, s, q = np.random.randint(n), np.random.randint(n), 0
        exchange = np.random.random() < 0.5
        a, b = place[r], place[s] if exchange else np.random.randint(batches)
        if a == b:
            continue
        p = _pick(r, a, place, leaf, parent, first, last, there)
        if exchange:
            q = _pick(s, b, place, leaf, parent, first, last, back)
        used = (held[a, 1] > 0) + (held[b, 1] > 0)
        change = _move(there[:p], b, place, leaf, kv, parent, tokens, use, held)
        change += _move(back[:q], a, place, leaf, kv, parent, tokens, use, held)
        change += fixed * ((held[a, 1] > 0) + (held[b, 1] > 0) - used)
        fits = held[a, 0] <= cap and held[b, 0] <= cap
        if fits and (change <= 0 or np.random.random() < np.exp(-change / temperature)):
            total += change
            if total < least:
                least = total
                best[:] = place
        else:
            _move(there[:p], a, place, leaf, kv, parent, tokens, use, held)
            _move(back[:q], b, place, leaf, kv, parent, tokens, use, held)
    return best


@compiled
def _start(parent: Array, tokens: Array, requests: Array, batches: int) -> tuple[Array, Array, Array]:
    """The state of a partition: each request's batch, requests that use node v in batch b, and what batches hold."""
    leaf, kv, batch = requests
    place = np.zeros(len(leaf), dtype=np.int64)
    use = np.zeros((len(parent), batches), dtype=np.int64)
    held = np.zeros((batches, 2), dtype=np.int64)
    everything = np.arange(len(leaf))
    for r in range(len(leaf)):  # all start in batch 0, which may hold too much until they have moved on
        v = leaf[r]
        while v >= 0:
            use[v, 0] += 1
            if use[v, 0] == 1:
                held[0, 0] += tokens[v]
            v = parent[v]
        held[0, 0] += kv[r]
        held[0, 1] += 1
    for r in range(len(leaf)):
        if batch[r] > 0:
            _move(everything[r : r + 1], batch[r], place, leaf, kv, parent, tokens, use, held)
    return place, use, held


@compiled
def _pick(r: int, batch: int, place: Array, leaf: Array, parent: Array, first: Array, last: Array, into: Array) -> int:
    """Collect the requests of `batch` below a random node on the path of r; their number."""
    v = leaf[r]
    if np.random.random() < 0.3:
        into[0] = r
        return 1
    while parent[v] >= 0 and np.random.random() < 0.5:
        v = parent[v]
    count = 0
    for s in range(first[v], last[v]):
        if place[s] == batch:
            into[count] = s
            count += 1
    return count
