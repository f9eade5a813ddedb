"""What is known of vLLM's requests, with made-up requests: columns, and hits in a prefix cache."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine_bridge.vllm.prefix import PrefixHits
from engine_bridge.vllm.settings import Settings
from engine_bridge.vllm.table import Table

BLOCK = 4


@dataclass(eq=False)
class Request:
    """As much of a request as the table and the look-ups read; the hash of a block is the tuple of its prefix."""

    request_id: str
    tokens: tuple[int, ...] = (1,) * 9
    finished: bool = False
    sampling_params: Any = field(default_factory=lambda: SimpleNamespace(extra_args=None))

    @property
    def num_prompt_tokens(self) -> int:
        """Tokens of its prompt."""
        return len(self.tokens)

    @property
    def num_tokens(self) -> int:
        """All its tokens."""
        return len(self.tokens)

    @property
    def block_hashes(self) -> list[tuple[int, ...]]:
        """Of its full blocks."""
        return [self.tokens[:end] for end in range(BLOCK, len(self.tokens) + 1, BLOCK)]

    def is_finished(self) -> bool:
        """Whether it has ended."""
        return self.finished


def test_a_request_that_comes_under_a_name_used_before_keeps_its_column() -> None:
    """vLLM tells of the end of the first after the second has come; the table frees the column when that one ends."""
    table = Table(("prompt",), Settings())
    first, second = Request("x", (1,) * 5), Request("x", (1,) * 7)
    table.add(first)
    first.finished = True
    table.add(second)
    table.forget(["x"])
    third = Request("y", (1,) * 9)
    table.add(third)
    assert table.take(table.columns([second, third])).tolist() == [[7.0, 9.0]]
    second.finished = True
    table.forget(["x", "unknown"])
    fourth = Request("z", (1,) * 11)
    table.add(fourth)
    assert len(set(table.columns([third, fourth]).tolist())) == 2
    assert table.take(table.columns([third, fourth])).tolist() == [[9.0, 11.0]]


def test_the_table_grows_and_is_used_again() -> None:
    """More requests than columns, then many more one after the other: the size stays that of those alive."""
    table = Table(("prompt",), Settings())
    alive = [Request(str(number), (1,) * (number % 50 + 1)) for number in range(700)]
    columns = table.columns(alive)
    assert len(set(columns.tolist())) == 700
    assert table.take(columns)[0].tolist() == [request.num_prompt_tokens for request in alive]
    for number in range(5000):
        request = Request(f"more {number}")
        table.add(request)
        request.finished = True
        table.forget([request.request_id])
    assert max(table.columns(alive).tolist()) < 1024


class FullAttentionSpec:
    """Named as vLLM's, which is what the look-ups go by."""

    block_size = BLOCK


class UnitaryKVCacheCoordinator:
    """Likewise."""


class Cache:
    """A prefix cache that holds `blocks`, as vLLM's manager and block pool show one."""

    def __init__(self) -> None:
        self.blocks: set[tuple[int, ...]] = set()
        self.block_pool = self
        self.coordinator = UnitaryKVCacheCoordinator()
        self.looked_up = 0

    def get_cached_block(self, block_hash: tuple[int, ...], groups: list[int]) -> list[object] | None:
        """One block, if it is there."""
        return [object()] if block_hash in self.blocks else None

    def get_computed_blocks(self, request: Request) -> tuple[None, int]:
        """The tokens that can be taken from the cache, at second place."""
        self.looked_up += 1
        usable = request.block_hashes[: (request.num_tokens - 1) // BLOCK]
        found = next((place for place, block in enumerate(usable) if block not in self.blocks), len(usable))
        return None, BLOCK * found


def hits_of(cache: Cache) -> PrefixHits:
    """Look-ups in a cache."""
    groups = SimpleNamespace(kv_cache_groups=[SimpleNamespace(kv_cache_spec=FullAttentionSpec())])
    return PrefixHits(SimpleNamespace(kv_cache_manager=cache, kv_cache_config=groups, block_size=BLOCK))


PROMPTS = st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=14).map(tuple), min_size=1, max_size=6)


@given(PROMPTS, st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=12))
def test_hits_are_those_of_a_look_up_each(prompts: list[tuple[int, ...]], changes: list[tuple[bool, int]]) -> None:
    """Whatever comes into the cache and leaves it, the last of a chain first: always what vLLM finds."""
    cache = Cache()
    hits = hits_of(cache)
    requests = [Request(str(number), prompt) for number, prompt in enumerate(prompts)]
    for comes, which in [(True, 0), *changes]:
        chain = requests[which % len(requests)].block_hashes
        if comes:
            cache.blocks |= set(chain)
        elif chain:  # the last of a chain goes before those that it needs
            last = max((block for block in cache.blocks if block[:BLOCK] == chain[0]), key=len, default=None)
            cache.blocks -= {last}
        assert hits(requests) == [cache.get_computed_blocks(request)[1] for request in requests]


def test_who_was_looked_up_is_not_looked_up_again() -> None:
    """While nothing moves; and a request under a name used before, with a shorter prompt, is a new one."""
    cache = Cache()
    hits = hits_of(cache)
    long = Request("x", (1,) * 13)
    cache.blocks = set(long.block_hashes)
    assert hits([long]) == hits([long]) == [12]
    assert cache.looked_up == 1
    assert hits([Request("x", (1,) * 2)]) == [0]
    assert np.array_equal(hits([long]), [12])
