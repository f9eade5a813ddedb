"""The compiled KV block pool: a free queue in order of eviction, and blocks found again by what they hold.

The order is vLLM's (0.32): blocks are taken from the front of the queue. Of the blocks that are given back, last
block of the request first, those whose content is known by a key go to the end of the queue, where they can be found
until they are taken (least recently used first); the others go to its front. Several blocks may have the same key:
the one that got it first is found.

A pool of N blocks is an array of shape (6, N + 1); column N is the anchor of the ring that the free queue is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine_bridge.jit import compiled
from engine_bridge.layout import FREE

Array = NDArray[Any]

PREVIOUS, NEXT, USERS, KEY, SAME_PREVIOUS, SAME_NEXT = 0, 1, 2, 3, 4, 5
"""Rows: neighbours in the free queue; how many requests use a block; the key of its content, −1 for none; neighbours
in the ring of blocks with the same key, in the order in which they got it."""


def make_pool(blocks: int) -> Array:
    """A pool whose blocks are all free, in order of their numbers; shape (6, blocks + 1), int64."""
    pool = np.full((6, blocks + 1), -1, dtype=np.int64)
    ring = np.arange(blocks + 1)
    pool[PREVIOUS] = np.roll(ring, 1)
    pool[NEXT] = np.roll(ring, -1)
    pool[USERS] = 0
    return pool


@compiled
def unlink(pool: Array, block: int) -> None:
    """Take a block out of the free queue, wherever it is."""
    before, after = pool[PREVIOUS, block], pool[NEXT, block]
    pool[NEXT, before] = after
    pool[PREVIOUS, after] = before


@compiled
def link_after(pool: Array, block: int, before: int) -> None:
    """Put a block into the free queue right after `before`."""
    after = pool[NEXT, before]
    pool[PREVIOUS, block] = before
    pool[NEXT, block] = after
    pool[NEXT, before] = block
    pool[PREVIOUS, after] = block


@compiled
def remember(pool: Array, first: Array, block: int, key: int) -> None:
    """Note that a block, known by no key yet, holds the content `key`."""
    pool[KEY, block] = key
    head = first[key]
    if head < 0:
        first[key] = block
        pool[SAME_PREVIOUS, block] = block
        pool[SAME_NEXT, block] = block
    else:
        last = pool[SAME_PREVIOUS, head]
        pool[SAME_NEXT, last] = block
        pool[SAME_PREVIOUS, block] = last
        pool[SAME_NEXT, block] = head
        pool[SAME_PREVIOUS, head] = block


@compiled
def forget(pool: Array, first: Array, block: int) -> None:
    """Note that a block holds nothing that could be found."""
    key = pool[KEY, block]
    after, before = pool[SAME_NEXT, block], pool[SAME_PREVIOUS, block]
    if after == block:
        first[key] = -1
    else:
        pool[SAME_NEXT, before] = after
        pool[SAME_PREVIOUS, after] = before
        if first[key] == block:
            first[key] = after
    pool[KEY, block] = -1


@compiled
def take(pool: Array, first: Array, state: Array) -> int:
    """The block at the front of the free queue, which must not be empty; what it held is forgotten."""
    anchor = pool.shape[1] - 1
    block: int = pool[NEXT, anchor]
    unlink(pool, block)
    if pool[KEY, block] >= 0:
        forget(pool, first, block)
    pool[USERS, block] = 1
    state[FREE] -= 1
    return block


@compiled
def touch(pool: Array, state: Array, block: int) -> None:
    """Let one more request use a block; it leaves the free queue if it was there."""
    if pool[USERS, block] == 0:
        unlink(pool, block)
        state[FREE] -= 1
    pool[USERS, block] += 1


@compiled
def give_back(pool: Array, state: Array, table: Array, count: int) -> None:
    """Let a request go of the first `count` blocks of its table, the last block first."""
    anchor = pool.shape[1] - 1
    front = anchor
    for place in range(count - 1, -1, -1):
        block = table[place]
        pool[USERS, block] -= 1
        if pool[USERS, block] == 0:
            state[FREE] += 1
            if pool[KEY, block] < 0:
                link_after(pool, block, front)
                front = block
            else:
                link_after(pool, block, pool[PREVIOUS, anchor])
