"""Every bound ≤ optimum ≤ every heuristic, the optimum found by trying all partitions."""

import numpy as np
import pytest
from hypothesis import given, settings

from evaluators.bounds import load_bounds
from problems.base import Instance
from problems.mip import solve_model
from problems.prefix_group.annealing import anneal
from problems.prefix_group.building import build
from problems.prefix_group.combinatorial import least_loads
from problems.prefix_group.cost import total_cost
from problems.prefix_group.instances import generate
from problems.prefix_group.ladder import branch_fit, depth_first, most_batches, relaxation, solve_exactly
from problems.prefix_group.mip import batch_model
from problems.prefix_group.problem import PrefixGroup
from problems.prefix_group.trie import trie_of
from tests.problems.prefix_group.lab import BASELINES, Plain, instances, make, optimum, partitions, plain_cost

PROBLEM = PrefixGroup()


@settings(max_examples=150, deadline=None)
@given(instances())
def test_combinatorial_bound_and_heuristics_enclose_the_optimum(instance: Instance) -> None:
    """The combinatorial bound is no larger than the best of all partitions, no baseline's partition is cheaper."""
    trie, best = trie_of(instance), optimum(instance)
    assert least_loads(trie).bound(trie) <= best
    for name, join_score in BASELINES.items():
        decision = PROBLEM.decide(instance, Plain(join_score))
        PROBLEM.check(instance, decision)
        assert PROBLEM.cost(instance, decision) >= best, name


@settings(max_examples=60, deadline=None)
@given(instances())
def test_the_program_is_exact_and_its_relaxation_a_bound(instance: Instance) -> None:
    """HiGHS's optimum is the best of all partitions, with no more batches than the rule allows; combinatorial ≤ LP ≤
    optimum."""
    trie, best = trie_of(instance), optimum(instance)
    loads = least_loads(trie)
    known = build(trie, depth_first)
    result, found = solve_exactly(instance, trie, loads, known)
    assert (result.kind, result.value) == ("optimal", best)
    assert total_cost(instance, found) == best
    PROBLEM.check(instance, found)
    batches = most_batches(trie, loads, total_cost(instance, known))
    assert loads.bound(trie) <= relaxation(trie, loads, batches) <= best


@settings(max_examples=150, deadline=None)
@given(instances())
def test_each_node_is_loaded_at_least_as_often_as_bounded(instance: Instance) -> None:
    """Over all feasible partitions, no node is loaded in fewer batches than the bound says, nor are there fewer."""
    trie = trie_of(instance)
    loads = least_loads(trie)
    users = trie.climb(trie.at_leaves(np.ones(len(trie.leaf), dtype=np.int64)))
    assert (users > 0).all()
    for groups in partitions(list(range(len(instance["leaf"])))):
        if plain_cost(instance, groups) is None:
            continue
        assert len(groups) >= loads.batches
        paths = [set(_paths(trie.parent, trie.leaf[group])) for group in groups]
        assert all(sum(v in nodes for nodes in paths) >= least for v, least in enumerate(loads.nodes))


def _paths(parent: np.ndarray, nodes: np.ndarray) -> list[int]:
    """All nodes on the paths from `nodes` up."""
    found = []
    for node in nodes.tolist():
        while node >= 0:
            found.append(node)
            node = int(parent[node])
    return found


def test_a_program_cut_off_still_bounds() -> None:
    """With no nodes to branch on, the value is a bound no larger than what is proved with more."""
    instance = generate("check", "fewshot", 30, 3)
    trie = trie_of(instance)
    loads = least_loads(trie)
    batches = most_batches(trie, loads, total_cost(instance, build(trie, branch_fit)))
    early = solve_model(batch_model(trie, loads, batches), max_nodes=0, integral=True)
    late = solve_model(batch_model(trie, loads, batches), max_nodes=1000, integral=True)
    assert early.value <= late.value


@settings(max_examples=100, deadline=None)
@given(instances())
def test_annealing_never_worsens_a_partition(instance: Instance) -> None:
    """The annealed partition is valid, no dearer than its start, and the same every time."""
    trie = trie_of(instance)
    start = build(trie, depth_first)
    found = anneal(trie, start, 2000)
    PROBLEM.check(instance, found)
    assert optimum(instance) <= total_cost(instance, found) <= total_cost(instance, start)
    assert (found == anneal(trie, start, 2000)).all()


def test_a_bound_by_hand() -> None:
    """A prefix of 10 tokens, four requests that add 5 + 3 each, M = 28: two fit at a time.

    need = 4·(5 + 3) = 32 tokens below the prefix, M − 10 = 18 at a time: loaded in 2 batches. Above it, 2·10 + 32 =
    52 tokens in batches of 28: 2. Cost 2·10 + 4·5 + 2·F(=7) = 54, which two batches of two reach.
    """
    instance = make([-1, 0, 0, 0, 0], [10, 5, 5, 5, 5], [1, 2, 3, 4], [3, 3, 3, 3], 28, 7)
    trie = trie_of(instance)
    loads = least_loads(trie)
    assert (loads.nodes.tolist(), loads.batches, loads.bound(trie)) == ([2, 1, 1, 1, 1], 2, 54)
    assert optimum(instance) == 54


def test_the_ladder_says_what_it_stands_on() -> None:
    """Small: proved by HiGHS. Middling and large: a lower bound, named, beside the best partition known."""
    small = PROBLEM.bound(generate("check", "tree", 12, 0))
    assert (small.kind, small.method, small.value) == ("optimal", "MIP by HiGHS", small.best)
    for n in (40, 100):
        instance = generate("check", "tree", n, 0)
        bound = PROBLEM.bound(instance)
        assert bound.kind == "lower"
        assert bound.value == max(bound.details.values())
        assert bound.best is not None and bound.best >= bound.value
        assert bound.solution is not None
        PROBLEM.check(instance, np.array(bound.solution))
        assert PROBLEM.cost(instance, np.array(bound.solution)) == bound.best


@pytest.mark.parametrize("split", PROBLEM.splits)
def test_stored_bounds_are_those_of_the_splits(split: str) -> None:
    """Each instance of the standard splits has a stored bound, no smaller than the combinatorial one, and a valid
    partition of the cost it names, no smaller than the bound."""
    stored = load_bounds(PROBLEM.bounds)
    for instance in PROBLEM.split(split):
        bound, trie = stored[instance.digest], trie_of(instance)
        assert bound.value >= least_loads(trie).bound(trie)
        solution = np.array(bound.solution)
        PROBLEM.check(instance, solution)
        assert PROBLEM.cost(instance, solution) == bound.best
        assert bound.best is not None and bound.best >= bound.value
        assert bound.kind == "lower" or bound.best == bound.value
