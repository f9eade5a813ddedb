"""Batches are built one after the other by asking which of the waiting requests joins the open one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from problems.base import Array, InvalidDecision
from problems.prefix_group.groups import depth_first, one_level_groups
from problems.prefix_group.trie import Trie

Score = Callable[[Array, tuple[float, ...], Array], Array]
"""Scores for the fields of the m requests shown (17, m), of the batch and of the trie; checked: (m,), no NaN."""


def build(trie: Trie, score: Score) -> Array:
    """(n,) int64: the number of the batch of each request, batches counted from 0 in the order they are built.

    Of the waiting requests that fit, the one of lowest score joins (the earliest of equals). The batch is closed
    when none fits, or when all scores are +∞. `score` is not called where there is no choice: one request is left.

    Raises:
        InvalidDecision: all scores are +∞ though the batch is empty.
    """
    from problems.prefix_group.look import look  # numba takes half a second to import

    n = len(trie.leaf)
    nodes = np.stack((trie.parent, trie.tokens, trie.depth))
    requests = np.stack((trie.leaf, trie.kv, depth_first(trie), one_level_groups(trie)))
    waiting, place = np.ones(n, dtype=np.bool_), np.empty(n, dtype=np.int64)
    left, batch = n, Open(trie, 0)
    while left:
        shown, fields, totals = look(nodes, requests, waiting, batch.loaded, batch.free)
        if len(shown) and left > 1:
            scores = score(fields, batch.fields(), totals)
            chosen = int(scores.argmin())
            if scores[chosen] == np.inf:
                batch.refuse_if_empty(len(shown))
                shown = shown[:0]
        else:
            chosen = 0
        if not len(shown):
            batch = Open(trie, batch.number + 1)
            continue
        request = int(shown[chosen])
        batch.take(request)
        place[request], waiting[request], left = batch.number, False, left - 1
    return place


class Open:
    """The batch that is being built."""

    def __init__(self, trie: Trie, number: int) -> None:
        self._trie = trie
        self.number = number
        self.free = trie.cap
        self.loaded = np.zeros(len(trie.parent), dtype=np.bool_)
        self._tokens = 0
        self._size = 0

    def fields(self) -> tuple[float, ...]:
        """The fields of `batch`, in the order of the entry."""
        return self.free, self._tokens, self._size, self.number, self._trie.cap, self._trie.fixed

    def take(self, request: int) -> None:
        """Load what the request lacks, and hold its own KV."""
        node = int(self._trie.leaf[request])
        while node >= 0 and not self.loaded[node]:
            self.loaded[node] = True
            self._tokens += int(self._trie.tokens[node])
            self.free -= int(self._trie.tokens[node])
            node = int(self._trie.parent[node])
        self.free -= int(self._trie.kv[request])
        self._size += 1

    def refuse_if_empty(self, shown: int) -> None:
        """An empty batch cannot be closed."""
        if self._size == 0:
            raise InvalidDecision(
                f"all {shown} scores are inf though batch {self.number} is empty; score one request lower"
            )
