"""Helpers for the tests of prefix grouping: small random tries, a plain `ask`, an oracle that shares nothing."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from problems.base import Instance, Record
from problems.prefix_group.entry import ENTRY

FOLDER = Path(__file__).parents[3] / "problems" / "prefix_group" / "baselines"
BASELINES: dict[str, Callable[..., Any]] = {
    path.stem: runpy.run_path(str(path))["join_score"] for path in sorted(FOLDER.glob("*.py"))
}


class Plain:
    """An `ask` that calls a function in this process, on records, and remembers what it was shown."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.shown: list[list[SimpleNamespace]] = []

    def __call__(self, function: str, arrays: Sequence[Any], *, dispatch: bool = False, records: str = "") -> Any:
        """The answer as an array."""
        assert (function, dispatch, records) == (ENTRY.function, False, ENTRY.records)
        assert len(arrays) == len(ENTRY.inputs)
        values = iter(array.copy() if array.ndim else array.item() for array in arrays)
        arguments = []
        for record in ENTRY.arguments:
            assert isinstance(record, Record)
            arguments.append(SimpleNamespace(**{field.name: next(values) for field in record.fields}))
        self.shown.append(arguments)
        return np.asarray(self._function(*arguments))


def make(parent: list[int], tokens: list[int], leaf: list[int], kv: list[int], cap: int, fixed: int) -> Instance:
    """An instance from plain numbers."""
    lists = {"parent": parent, "tokens": tokens, "leaf": leaf, "kv": kv}
    arrays = {name: np.array(values, dtype=np.int64) for name, values in lists.items()}
    return Instance("made", {**arrays, "M": np.array(cap), "F": np.array(fixed)})


@st.composite
def instances(draw: st.DrawFn, most: int = 6) -> Instance:
    """Random tries of up to 8 nodes, in any order, with up to `most` requests anywhere in them."""
    nodes = draw(st.integers(1, 8))
    above = [draw(st.integers(-1, v - 1)) for v in range(nodes)]
    names = draw(st.permutations(range(nodes)))
    parent = [0] * nodes
    for v, u in enumerate(above):
        parent[names[v]] = names[u] if u >= 0 else -1
    tokens = draw(st.lists(st.integers(1, 9), min_size=nodes, max_size=nodes))
    leaf = draw(st.lists(st.integers(0, nodes - 1), min_size=1, max_size=most))
    kv = draw(st.lists(st.integers(1, 6), min_size=len(leaf), max_size=len(leaf)))
    largest = max(len_of(path(parent, v), tokens) + k for v, k in zip(leaf, kv, strict=True))
    return make(parent, tokens, leaf, kv, largest + draw(st.integers(0, 25)), draw(st.integers(0, 8)))


def path(parent: Sequence[int], node: int) -> set[int]:
    """The nodes from a node up to its root."""
    nodes = set()
    while node >= 0:
        nodes.add(node)
        node = int(parent[node])
    return nodes


def len_of(nodes: set[int], tokens: Sequence[int]) -> int:
    """Tokens of some nodes."""
    return sum(int(tokens[v]) for v in nodes)


def plain_cost(instance: Instance, groups: Sequence[Sequence[int]]) -> int | None:
    """Cost of a partition by sets, from the definition; None if a batch exceeds the cap."""
    total = 0
    for group in groups:
        loaded = set().union(*(path(instance["parent"], int(instance["leaf"][r])) for r in group))
        tokens = len_of(loaded, instance["tokens"])
        if tokens + sum(int(instance["kv"][r]) for r in group) > instance["M"]:
            return None
        total += tokens + int(instance["F"])
    return total


def partitions(items: list[int]) -> Iterator[list[list[int]]]:
    """All partitions of a list."""
    if not items:
        yield []
        return
    for rest in partitions(items[1:]):
        yield [[items[0]], *rest]
        for i in range(len(rest)):
            yield [*rest[:i], [items[0], *rest[i]], *rest[i + 1 :]]


def optimum(instance: Instance) -> int:
    """The least cost over all partitions."""
    costs = (plain_cost(instance, groups) for groups in partitions(list(range(len(instance["leaf"])))))
    return min(cost for cost in costs if cost is not None)
