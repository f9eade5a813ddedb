"""What a heuristic is shown, how its scores become batches, and what is refused."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from problems.base import Instance, InvalidDecision
from problems.prefix_group.cost import loaded_tokens, total_cost
from problems.prefix_group.groups import depth_first, one_level_groups
from problems.prefix_group.instances import generate
from problems.prefix_group.problem import PrefixGroup
from problems.prefix_group.trie import Trie, trie_of
from tests.problems.prefix_group.lab import BASELINES, Plain, instances, len_of, make, path, plain_cost

PROBLEM = PrefixGroup()
FORK = make([-1, 0, 0, 2, 2, -1], [10, 4, 6, 1, 2, 20], [1, 3, 4, 5, 2], [3, 2, 2, 5, 1], 30, 4)
"""Node 0 (10) has the children 1 (4) and 2 (6), node 2 the children 3 (1) and 4 (2); node 5 (20) stands alone."""


@settings(max_examples=150, deadline=None)
@given(instances())
def test_cost_and_load_are_their_definition(instance: Instance) -> None:
    """The vectorised cost equals set unions, for random partitions within the cap or not."""
    rng = np.random.default_rng(len(instance["leaf"]))
    _, batch = np.unique(rng.integers(0, 3, len(instance["leaf"])), return_inverse=True)
    groups = [np.flatnonzero(batch == b).tolist() for b in range(batch.max() + 1)]
    loaded = [set().union(*(path(instance["parent"], int(instance["leaf"][r])) for r in group)) for group in groups]
    assert loaded_tokens(instance, batch).tolist() == [len_of(nodes, instance["tokens"]) for nodes in loaded]
    expected = plain_cost(instance, groups)
    if expected is None:
        with pytest.raises(InvalidDecision, match="the cap is"):
            PROBLEM.check(instance, batch)
    else:
        PROBLEM.check(instance, batch)
        assert total_cost(instance, batch) == expected


def test_what_is_shown_by_hand() -> None:
    """FORK, request 1 placed first: what the others are told then."""
    ask = Plain(lambda request, batch, trie: np.where(request.arrival == 1, -1.0, request.arrival))
    PROBLEM.decide(FORK, ask)
    request, batch, trie = ask.shown[0]
    assert vars(batch) == {"free": 30, "loaded": 0, "size": 0, "closed": 0, "cap": 30, "fixed": 4}
    assert vars(trie) == {"waiting": 5, "prompts": 14 + 17 + 18 + 20 + 16, "tokens": 43, "kv": 13}
    assert request.path.tolist() == [14, 17, 18, 20, 16]
    assert request.sharers.tolist() == [4, 3, 3, 1, 3]
    assert request.depth.tolist() == [10, 16, 16, 0, 16]
    assert request.need.tolist() == [10 + 4 + 6 + 3 + 8, 16 + 3 + 5, 24, 25, 24]
    assert request.fair.tolist() == pytest.approx([2.5 + 4, 2.5 + 2 + 1, 2.5 + 2 + 2, 20, 2.5 + 2])
    # saved by grouping: under node 0 3·10, under node 2 2·16: deeper is better
    assert request.group_depth.tolist() == [0, 16, 16, 0, 16]
    request, batch, trie = ask.shown[1]  # request 1 holds 17 + 2, 11 tokens are free: request 3 is not shown
    assert (batch.free, batch.loaded, batch.size, trie.waiting, trie.tokens) == (11, 17, 1, 4, 42)
    assert request.arrival.tolist() == [0, 2, 4]
    assert request.shared.tolist() == [10, 16, 16]
    assert request.new.tolist() == [4, 2, 0]
    assert request.need.tolist() == [4 + 2 + 6, 2 + 3, 5]
    assert request.branch_size.tolist() == [1, 1, 2]
    assert request.branch_need.tolist() == [7, 4, 2 + 3]
    assert request.fair_new.tolist() == [4, 2, 0]
    assert request.group_need.tolist() == [7, 5, 5]


@settings(max_examples=100, deadline=None)
@given(instances())
def test_fields_are_their_definitions(instance: Instance) -> None:
    """At every question of a depth-first build, each field equals what sets say."""
    members: list[int] = []
    state = SimpleNamespace(batch=members, closed=0, placed=set())

    def join_score(request: Any, batch: Any, trie: Any) -> np.ndarray:
        if batch.size == 0:
            state.placed |= set(state.batch)
            state.batch = []
        _compare(instance, state, request, batch, trie)
        chosen = int(np.argmin(request.order))
        state.batch = [*state.batch, int(request.arrival[chosen])]
        return np.asarray(request.order)

    PROBLEM.decide(instance, Plain(join_score))


def _compare(instance: Instance, state: SimpleNamespace, request: Any, batch: Any, trie: Any) -> None:
    parent, tokens, leaf, kv = (instance[name] for name in ("parent", "tokens", "leaf", "kv"))
    placed = state.placed | set(state.batch)
    waiting = [r for r in range(len(leaf)) if r not in placed]
    paths = {r: path(parent, int(leaf[r])) for r in range(len(leaf))}
    loaded = set().union(*(paths[r] for r in state.batch)) if batch.size else set()
    free = int(instance["M"]) - len_of(loaded, tokens) - sum(int(kv[r]) for r in state.batch)
    assert (batch.free, batch.loaded, batch.size, trie.waiting) == (
        free, len_of(loaded, tokens), len(state.batch), len(waiting),
    )  # fmt: skip
    assert trie.tokens == len_of(set().union(*(paths[r] for r in waiting)), tokens)

    def need(requests: list[int]) -> int:
        return len_of(set().union(*(paths[q] for q in requests)) - loaded, tokens) + sum(int(kv[q]) for q in requests)

    assert request.arrival.tolist() == [r for r in waiting if need([r]) <= free]
    for i, r in enumerate(int(r) for r in request.arrival):
        assert request.shared[i] == len_of(paths[r] & loaded, tokens)
        assert request.new[i] == len_of(paths[r] - loaded, tokens)
        users = {v: [q for q in waiting if v in paths[q]] for v in paths[r]}
        joint = [v for v in paths[r] if len(users[v]) > 1]
        sharers = min((users[v] for v in joint), key=len, default=[r])
        assert (request.sharers[i], request.need[i]) == (len(sharers), need(sharers))
        assert request.depth[i] == len_of(set(joint), tokens)
        new = paths[r] - loaded
        branch = max((users[v] for v in new), key=len) if new else users[int(leaf[r])]
        assert request.branch_size[i] == len(branch)
        assert request.branch_need[i] == need(branch) - len_of(
            set() if new else path(parent, int(leaf[r])) - loaded, tokens
        )
        assert request.fair[i] == pytest.approx(sum(tokens[v] / len(users[v]) for v in paths[r]))
        assert request.fair_new[i] == pytest.approx(sum(tokens[v] / len(users[v]) for v in new))


def test_closing_early() -> None:
    """All scores +inf close a batch that holds something: here each request gets a batch of its own."""
    decision = PROBLEM.decide(FORK, Plain(lambda r, b, t: r.arrival if b.size == 0 else np.full(r.kv.size, np.inf)))
    assert decision.tolist() == [0, 1, 2, 3, 4]


def test_some_infinite_scores_only_exclude() -> None:
    """+inf for some requests leaves the choice to the others; −inf comes first."""
    last_first = Plain(lambda r, b, t: np.where(r.arrival == r.arrival.max(), -np.inf, np.inf))
    decision = PROBLEM.decide(FORK, last_first)
    PROBLEM.check(FORK, decision)
    assert decision[4] == 0


def test_ties_go_to_the_earlier_request() -> None:
    """Equal scores are the order of arrival."""
    equal = PROBLEM.decide(FORK, Plain(lambda r, b, t: np.zeros(r.kv.size)))
    assert equal.tolist() == PROBLEM.decide(FORK, Plain(BASELINES["arrival"])).tolist()


def test_nothing_is_asked_without_a_choice() -> None:
    """One request: no question. Two that exclude each other: one question, for the first."""
    ask = Plain(BASELINES["arrival"])
    assert PROBLEM.decide(make([-1], [5], [0], [1], 6, 0), ask).tolist() == [0]
    assert ask.shown == []
    assert PROBLEM.decide(make([-1, -1], [5, 5], [0, 1], [1, 1], 6, 0), ask).tolist() == [0, 1]
    assert len(ask.shown) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda r, b, t: np.full(r.kv.size, np.nan), "score 0 of 5 is NaN"),
        (lambda r, b, t: r.kv[1:], r"shape \(5,\), got \(4,\)"),
        (lambda r, b, t: 3.0, r"shape \(5,\), got \(\)"),
        (lambda r, b, t: np.full(r.kv.size, np.inf), "batch 0 is empty"),
    ],
)
def test_answers_that_are_no_scores(answer: Callable[..., Any], said: str) -> None:
    """NaN, a wrong length and an empty batch that is to be closed are refused with the reason."""
    with pytest.raises(InvalidDecision, match=said):
        PROBLEM.decide(FORK, Plain(answer))


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (np.array([0, 0, 0]), "each of 5 requests"),
        (np.array([0.0, 1, 2, 3, 4]), "whole batch number"),
        (np.array([0, 1, 2, 3, 5]), "must lie in 0 … 4"),
        (np.array([0, 1, 2, 3, -1]), "must lie in 0 … 4"),
        (np.array([0, 1, 3, 4, 4]), "batch 2 is empty"),
        (np.array([0, 0, 0, 1, 0]), "batch 0 needs 31 tokens of KV; the cap is 30"),
    ],
)
def test_partitions_that_are_refused(decision: np.ndarray, said: str) -> None:
    """The check rests on the instance alone, and says which batch breaks which rule."""
    with pytest.raises(InvalidDecision, match=said):
        PROBLEM.check(FORK, decision)


def antichain_saving(trie: Trie) -> int:
    """The most prompt tokens any antichain of nodes saves, by trying all sets of nodes."""
    size = len(trie.parent)
    paths = [path(trie.parent.tolist(), v) for v in range(size)]
    users = [sum(v in paths[int(leaf)] for leaf in trie.leaf) for v in range(size)]
    best = 0
    for chosen in range(1 << size):
        nodes = [v for v in range(size) if chosen >> v & 1]
        if all(v not in paths[w] for v in nodes for w in nodes if v != w):
            best = max(best, sum((users[v] - 1) * int(trie.depth[v]) for v in nodes))
    return best


@settings(max_examples=100, deadline=None)
@given(instances())
def test_one_level_groups_save_as_much_as_any_antichain(instance: Instance) -> None:
    """The groups' saving Σ (members − 1)·depth is the largest of all antichains."""
    trie = trie_of(instance)
    heads = one_level_groups(trie)
    saved = sum((int((heads == v).sum()) - 1) * int(trie.depth[v]) for v in set(heads.tolist()) - {-1})
    assert saved == antichain_saving(trie)


@settings(max_examples=100, deadline=None)
@given(instances())
def test_depth_first_keeps_what_is_below_a_node_together(instance: Instance) -> None:
    """The requests below each node are neighbours in the walk."""
    trie = trie_of(instance)
    position = depth_first(trie)
    assert sorted(position.tolist()) == list(range(len(trie.leaf)))
    for v in range(len(trie.parent)):
        places = [int(p) for p, leaf in zip(position, trie.leaf, strict=True) if v in path(trie.parent, int(leaf))]
        assert max(places) - min(places) == len(places) - 1


@pytest.mark.parametrize("name", list(BASELINES))
def test_baselines_decide_the_same_twice(name: str) -> None:
    """Each baseline gives valid batches on a larger instance of each family, and the same ones again."""
    for family in ("sessions", "fewshot", "tree"):
        instance = generate("check", family, 60, 0)
        decision = PROBLEM.decide(instance, Plain(BASELINES[name]))
        PROBLEM.check(instance, decision)
        assert (decision == PROBLEM.decide(instance, Plain(BASELINES[name]))).all()
