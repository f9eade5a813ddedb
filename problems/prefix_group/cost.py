"""What a partition into batches loads and costs, from the instance alone: nothing here is shared with the building."""

from __future__ import annotations

import numpy as np

from problems.base import Array, Instance


def loaded_tokens(instance: Instance, batch: Array) -> Array:
    """(B,) Prompt tokens each batch loads: every node on a path of one of its requests, once.

    `batch`: (n,) int64 number of each request's batch, 0 … B−1.
    """
    parent, tokens = instance["parent"], instance["tokens"]
    count = int(batch.max()) + 1
    pairs = np.unique(batch * len(parent) + instance["leaf"])
    seen = [pairs]
    while len(pairs):
        above = parent[pairs % len(parent)]
        pairs = np.unique((pairs - pairs % len(parent) + above)[above >= 0])
        seen.append(pairs)
    loaded = np.unique(np.concatenate(seen))
    total = np.zeros(count, dtype=np.int64)
    np.add.at(total, loaded // len(parent), tokens[loaded % len(parent)])
    return total


def total_cost(instance: Instance, batch: Array) -> int:
    """Σ over batches of the prompt tokens loaded, plus F for each batch."""
    return int(loaded_tokens(instance, batch).sum()) + int(instance["F"]) * (int(batch.max()) + 1)
