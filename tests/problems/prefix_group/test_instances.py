"""The generator and the door: what is drawn, what is read, what is refused."""

from typing import Any

import numpy as np
import pytest

from problems.base import InstanceError
from problems.prefix_group.instances import BLOCK, LONGEST, PAGE, generate, sessions
from problems.prefix_group.problem import PrefixGroup
from problems.registry import load_problem

PROBLEM = PrefixGroup()
GOOD: dict[str, Any] = {
    "parent": [-1, 0, 0], "tokens": [10, 4, 6], "leaf": [1, 2, 2], "kv": [3, 2, 1], "M": 20, "F": 5,
}  # fmt: skip


PINNED = ["cd88b777fb0b1314345a232485a1f714", "0e7284010f32b5837336a7a0b792dc52", "8cc9161a7feef83b52b48d299094b0e6"]


def test_instances_are_the_same_on_every_machine_and_day() -> None:
    """The generator is pinned by content: a change of NumPy or code that alters instances would show here."""
    digests = [generate("train", family, 20, 0).digest for family in ("sessions", "fewshot", "tree")]
    assert digests == PINNED


def test_splits_do_not_mix_and_are_valid() -> None:
    """No instance occurs twice in all splits, and each passes the door."""
    problem = load_problem("prefix_group")
    found = [instance for split in problem.splits for instance in problem.split(split)]
    assert len({instance.digest for instance in found}) == len(found)
    for instance in found:
        problem.validate(instance)


def test_sessions_share_as_the_trace_does() -> None:
    """Drawn without the trace at hand: 30.6 % of its sessions have several requests, 1.63 on average, and 36.6 % of its
    blocks are found with an infinite cache. Prompts cut at 32 K tokens, the drawn ones stay near these figures."""
    trie = sessions(np.random.default_rng(1), 6000)
    depth = np.array(trie.tokens)
    for node, above in enumerate(trie.parent):
        if above >= 0:
            depth[node] += depth[above]
    prompts = depth[np.array(trie.leaf)]
    assert prompts.max() * PAGE <= LONGEST + PAGE * 40
    assert prompts.min() * PAGE > BLOCK
    assert 0.25 < 1 - sum(trie.tokens) / prompts.sum() < 0.5
    firsts = [above for above in trie.parent if above == 0]
    assert 1.3 < 6000 / len(firsts) < 1.9


def test_an_own_instance_is_read() -> None:
    """Lists and two numbers, with or without ids; whole floats count as whole."""
    instance = PROBLEM.parse({**GOOD, "M": 20.0, "ids": ["a", "b", 7]}, "mine")
    assert sorted(instance.arrays) == ["F", "M", "kv", "leaf", "parent", "tokens"]
    assert instance["M"].shape == ()


def test_a_request_may_fill_a_batch() -> None:
    """Request 1 takes 10 + 6 + 2 tokens: a cap of 18 is enough."""
    assert PROBLEM.parse({**GOOD, "M": 18}, "mine")["M"] == 18


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"leaf": [], "kv": []}, "there is no request"),
        ({"parent": [], "tokens": []}, "there is no node"),
        ({"kv": [3, 2]}, "'leaf' has 3 values and 'kv' 2"),
        ({"tokens": [10, 4]}, "'parent' has 3 values and 'tokens' 2"),
        ({"tokens": [10, 0, 6]}, "'tokens' of node 1 is 0; it must lie in 1"),
        ({"kv": [3, -2, 1]}, "'kv' of request 1 is -2"),
        ({"kv": [3, 2.5, 1]}, "'kv' holds fractions"),
        ({"parent": [-1, 2, 1]}, "node [12] is its own ancestor"),
        ({"parent": [-1, 1, 0]}, "node 1 is its own ancestor"),
        ({"parent": [-1, 0, 3]}, "'parent' of node 2 is 3; it must lie in -1 … 2"),
        ({"leaf": [1, 3, 2]}, "'leaf' of request 1 is 3; it must lie in 0 … 2"),
        ({"M": 17}, "request 1 needs 18 tokens of KV memory alone .* but M is 17"),
        ({"M": 0}, "'M' is 0; it must lie in 1"),
        ({"F": -1}, "'F' is -1; it must lie in 0"),
        ({"M": "many"}, "'M' must be a number"),
        ({"kv": [3, float("nan"), 1]}, "not finite"),
        ({"tokens": [10, 2**50, 6]}, "'tokens' of node 1"),
        ({"M": 2**52, "tokens": [10, 4, 2**39]}, "'M' is"),
        ({"ids": ["a", "b", "a"]}, "requests 0 and 2 have the same id 'a'"),
        ({"ids": ["a", "b"]}, "2 'ids' for 3 requests"),
        ({"ids": "abc"}, "'ids' must be a flat list"),
        ({"ids": ["a", "b", "c"], "M": 17}, r"request 1 \(id 'b'\) needs 18"),
        ({"deadline": [1, 2, 3]}, "unknown key 'deadline'"),
    ],
)
def test_what_is_refused_at_the_door(change: dict[str, Any], said: str) -> None:
    """One sentence names the node or request and the rule it breaks."""
    with pytest.raises(InstanceError, match=said):
        PROBLEM.parse({**GOOD, **change}, "mine")


def test_a_missing_key_is_named() -> None:
    """What is missing, and what was expected."""
    with pytest.raises(InstanceError, match="key 'F' is missing"):
        PROBLEM.parse({key: value for key, value in GOOD.items() if key != "F"}, "mine")


def test_lone_nodes_are_no_cost() -> None:
    """A node that no request uses is never loaded, and bounds leave it out."""
    instance = PROBLEM.parse({**GOOD, "parent": [-1, 0, 0, 2], "tokens": [10, 4, 6, 1000]}, "mine")
    assert PROBLEM.bound(instance).value == 10 + 4 + 6 + 10 + 2 * 5
