"""The ladder of bounds: MIP, linear program, combinatorial; the largest is reported, and `method` says which it is."""

from __future__ import annotations

import math
import time

import numpy as np

from problems.base import Array, Bound, Instance
from problems.mip import MipResult, round_up, solve_model
from problems.prefix_group.annealing import anneal
from problems.prefix_group.building import build
from problems.prefix_group.combinatorial import Loads, least_loads
from problems.prefix_group.cost import total_cost
from problems.prefix_group.mip import batch_model
from problems.prefix_group.trie import Trie, trie_of

MIP_REQUESTS, LP_REQUESTS = 30, 60
"""Most requests for which HiGHS solves the program, and its relaxation."""
NODES = 3500
"""Limit on branch-and-bound nodes times batches: a node takes about in proportion to the batches."""
MOVES = 2_000_000
"""Moves of the annealing that finds the best known partition."""


def certify(instance: Instance) -> Bound:
    """The largest of the bounds, and the best partition known.

    `kind` is `optimal` only if HiGHS has proved it. `details` holds the bounds apart.
    """
    began = time.process_time()
    trie = trie_of(instance)
    loads = least_loads(trie)
    bounds: dict[str, float] = {"combinatorial": loads.bound(trie)}
    starts = [build(trie, score) for score in (depth_first, branch_fit)]
    solution = anneal(trie, min(starts, key=lambda batch: total_cost(instance, batch)), MOVES)
    best, proved = total_cost(instance, solution), False
    if len(trie.leaf) <= MIP_REQUESTS:
        result, solution = solve_exactly(instance, trie, loads, solution)
        bounds["MIP"], best, proved = result.value, total_cost(instance, solution), result.kind == "optimal"
    elif len(trie.leaf) <= LP_REQUESTS:
        bounds["LP"] = relaxation(trie, loads, most_batches(trie, loads, best))
    method = "MIP" if proved else max(bounds, key=lambda name: bounds[name])
    return Bound(
        value=bounds[method],
        kind="optimal" if proved else "lower",
        method={"MIP": "MIP by HiGHS", "LP": "LP by HiGHS"}.get(method, method),
        seconds=time.process_time() - began,
        best=best,
        solution=tuple(solution.tolist()),
        details=bounds,
    )


def depth_first(requests: Array, batch: tuple[float, ...], totals: Array) -> Array:
    """The baseline of that name."""
    order: Array = requests[5]
    return order


def branch_fit(requests: Array, batch: tuple[float, ...], totals: Array) -> Array:
    """The baseline of that name."""
    shared, new, branch_need, fair_new = requests[1], requests[2], requests[10], requests[12]
    free, _, size, _, cap, _ = batch
    split, whole = cap + new - fair_new, -shared - 1e-3 * branch_need
    score: Array = np.where(branch_need <= free, whole, split) if size else -branch_need
    return score


def most_batches(trie: Trie, loads: Loads, best: int) -> int:
    """How many batches some optimal partition has at most, given the cost of a known one.

    With B batches the cost is at least Σ_v l_v·loads_v + F·B. And in some optimal partition no two batches fit into
    one (to merge them costs no more), so that any two hold more than M together and all hold more than M·B/2 if
    B ≥ 2; they hold at most `best` − F·B + Σ_r k_r.
    """
    least = int((trie.tokens * loads.nodes).sum())
    held = best + int(trie.kv.sum())
    by_pairs = max(1, math.ceil(2 * held / (trie.cap + 2 * trie.fixed)) - 1)
    by_cost = (best - least) // trie.fixed if trie.fixed else len(trie.leaf)
    return min(len(trie.leaf), by_pairs, by_cost)


def solve_exactly(instance: Instance, trie: Trie, loads: Loads, known: Array) -> tuple[MipResult, Array]:
    """What HiGHS proves of the program within the limit of nodes, and the better of its partition and the known one."""
    batches = most_batches(trie, loads, total_cost(instance, known))
    model = batch_model(trie, loads, batches)
    result = solve_model(model, max_nodes=NODES // batches, integral=True)
    if result.best is None or result.best >= total_cost(instance, known):
        return result, known
    chosen = {name: variable.varValue for name, variable in model.variablesDict().items() if name.startswith("x_")}
    places = [[chosen.get(f"x_{r}_{b}") or 0.0 for b in range(batches)] for r in range(len(trie.leaf))]
    _, found = np.unique(np.argmax(places, axis=1), return_inverse=True)
    return result, found.astype(np.int64)


def relaxation(trie: Trie, loads: Loads, batches: int) -> float:
    """The bound of the program without integrality, rounded up: costs are whole numbers."""
    result = solve_model(batch_model(trie, loads, batches, relaxed=True), max_nodes=0)
    return round_up(result.value, integral=True)
