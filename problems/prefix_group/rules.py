"""What is no instance of prefix grouping, said so that its owner can mend it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from problems.base import Array, Instance, InstanceError
from problems.prefix_group.trie import levels

LARGEST = 2**40
"""No number may be larger."""


def check_instance(instance: Instance) -> None:
    """Refuse what breaks a rule, naming the node or request.

    Raises:
        InstanceError: there is no request; lists of different lengths; a fraction; a number out of range; a node
            whose parent does not exist or is below it; a request whose prompt and own KV exceed the KV cap.
    """
    name = instance.name
    _check_lengths(name, instance.arrays, ("parent", "tokens"), "node")
    _check_lengths(name, instance.arrays, ("leaf", "kv"), "request")
    for field, array in instance.arrays.items():
        if array.dtype != np.int64:
            raise InstanceError(f"{name}: '{field}' holds fractions; tokens are counted in whole numbers")
    _check_range(name, instance["tokens"], "tokens", "node", 1)
    _check_range(name, instance["kv"], "kv", "request", 1)
    _check_range(name, instance["M"].reshape(1), "M", "", 1)
    _check_range(name, instance["F"].reshape(1), "F", "", 0)
    nodes = len(instance["parent"])
    _check_range(name, instance["parent"], "parent", "node", -1, nodes - 1, " (-1: a root)")
    _check_range(name, instance["leaf"], "leaf", "request", 0, nodes - 1, " (the node where its prompt ends)")
    level = levels(instance["parent"])
    if (level < 0).any():
        node = _on_a_cycle(instance["parent"], int(np.flatnonzero(level < 0)[0]))
        raise InstanceError(f"{name}: node {node} is its own ancestor; following 'parent' must end at -1")
    _check_fit(instance, level)


def check_ids(ids: object, requests: object, name: str) -> list[object] | None:
    """The names a user gave the requests, if any.

    Raises:
        InstanceError: they are no list of texts or whole numbers, not one per request, or one occurs twice.
    """
    if ids is None:
        return None
    if not isinstance(ids, list) or not all(type(i) in (str, int) for i in ids):
        raise InstanceError(f"{name}: 'ids' must be a flat list of texts or whole numbers")
    if isinstance(requests, list) and len(ids) != len(requests):
        raise InstanceError(f"{name}: {len(ids)} 'ids' for {len(requests)} requests; give one per request")
    seen: dict[object, int] = {}
    for request, identity in enumerate(ids):
        if identity in seen:
            raise InstanceError(
                f"{name}: requests {seen[identity]} and {request} have the same id {identity!r}; ids must differ"
            )
        seen[identity] = request
    return ids


def _check_lengths(name: str, arrays: Mapping[str, Array], fields: tuple[str, str], what: str) -> None:
    first, second = (len(arrays[field]) for field in fields)
    if first != second:
        raise InstanceError(
            f"{name}: '{fields[0]}' has {first} values and '{fields[1]}' {second}; give one of each per {what}"
        )
    if first == 0:
        raise InstanceError(f"{name}: there is no {what}; '{fields[0]}' and '{fields[1]}' need at least one value")


def _check_range(
    name: str, array: Array, field: str, what: str, low: int, high: int = LARGEST, meaning: str = ""
) -> None:
    wrong = np.flatnonzero((array < low) | (array > high))
    if len(wrong):
        where = f"'{field}' of {what} {wrong[0]}" if what else f"'{field}'"
        raise InstanceError(f"{name}: {where} is {array[wrong[0]]}; it must lie in {low} … {high}{meaning}")


def _on_a_cycle(parent: Array, node: int) -> int:
    seen = set()
    while node not in seen:
        seen.add(node)
        node = int(parent[node])
    return node


def _check_fit(instance: Instance, level: Array) -> None:
    """Every request must fit into a batch of its own; totals must be exact as floats."""
    parent, tokens, cap = instance["parent"], instance["tokens"], int(instance["M"])
    if max(len(parent) * int(tokens.max()), len(instance["kv"]) * max(cap, int(instance["F"]))) > 2**53:
        raise InstanceError(f"{instance.name}: the numbers are too large for exact totals; scale all tokens down")
    depth = tokens.copy()
    for node in np.argsort(level, kind="stable").tolist():
        if parent[node] >= 0:
            depth[node] += depth[parent[node]]
    held = depth[instance["leaf"]] + instance["kv"]
    if (held > cap).any():
        request = int(np.argmax(held > cap))
        prompt, own = depth[instance["leaf"][request]], instance["kv"][request]
        raise InstanceError(
            f"{instance.name}: request {request} needs {prompt + own} tokens of KV memory alone (prompt {prompt}, own "
            f"{own}), but M is {cap}; raise M or leave the request out"
        )
