"""The compiled way from a decision of the scheduler to the arrays that a forward pass gets.

It lies outside the engine's own package, since it needs no torch; in NumPy the same takes three times as long.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine_bridge.jit import compiled
from engine_bridge.layout import BLOCK_SIZE, GENERATED, PROMPT, SLOT

Array = NDArray[Any]

Packed = tuple[Array, Array, Array, Array, Array, Array, Array, Array, int]


@compiled
def pack(
    who: Array, tokens: Array, computed: Array, requests: Array, tables: Array, settings: Array, ids: Array,
    starts: Array,
) -> Packed:  # fmt: skip
    """A step of the requests `who`, of which `tokens` tokens are computed after `computed` ones; shape (S,) each.

    Sequences with one token go first, both parts in their order. `ids` and `starts` as in `torch_engine.tokens`.

    Returns:
        token_ids, positions, slots, shape (all tokens,); query_starts, shape (S + 1,); context_lens, shape (S,);
        block_tables, shape (S, most blocks); wanted, bool, shape (S,): all as in `torch_engine.batch.StepBatch`; where
        in `ids` the token sampled for each wanted one goes, int64, shape (number wanted,); how many sequences have one
        token.
    """
    size = settings[BLOCK_SIZE]
    count = len(who)
    order, singles = _singles_first(tokens)
    total, longest = 0, 1
    for place in range(count):
        total += tokens[place]
        longest = max(longest, computed[place] + tokens[place])
    token_ids, positions, slots = np.empty((3, total), dtype=np.int32)
    query_starts = np.zeros(count + 1, dtype=np.int32)
    context_lens = np.empty(count, dtype=np.int32)
    block_tables = np.zeros((count, -(-longest // size)), dtype=np.int32)
    wanted = np.empty(count, dtype=np.bool_)
    targets = np.empty(count, dtype=np.int64)
    at, sampled = 0, 0
    for place in range(count):
        request, first, chunk = who[order[place]], computed[order[place]], tokens[order[place]]
        table = tables[requests[SLOT, request]]
        end = first + chunk
        blocks = -(-end // size)
        block_tables[place, :blocks] = table[:blocks]
        token_ids[at : at + chunk] = ids[starts[request] + first : starts[request] + end]
        positions[at : at + chunk] = np.arange(first, end)
        for block in range(first // size, blocks):  # by blocks, not by tokens: numba may be missing
            start, stop = max(first, block * size), min(end, (block + 1) * size)
            where = table[block] * size - block * size
            slots[at + start - first : at + stop - first] = np.arange(where + start, where + stop)
        at += chunk
        query_starts[place + 1] = at
        context_lens[place] = end
        wanted[place] = end == requests[PROMPT, request] + requests[GENERATED, request]
        if wanted[place]:
            targets[sampled] = starts[request] + end
            sampled += 1
    return (
        token_ids, positions, slots, query_starts, context_lens, block_tables, wanted, targets[:sampled],
        singles,
    )  # fmt: skip


@compiled
def _singles_first(tokens: Array) -> tuple[Array, int]:
    """The order that puts those with one token first, and how many those are."""
    order = np.empty(len(tokens), dtype=np.int64)
    singles = 0
    for place in range(len(tokens)):
        if tokens[place] == 1:
            order[singles] = place
            singles += 1
    others = singles
    for place in range(len(tokens)):
        if tokens[place] != 1:
            order[others] = place
            others += 1
    return order, singles
