"""Prefix grouping: its bounds, its program and one evaluation: `python -m tests.benchmarks prefix_group`.

CPU seconds on one core, fixed seeds.
"""

from __future__ import annotations

import statistics
import time

from evaluators.evaluate import Allowance, evaluate
from evaluators.heuristic import find_heuristic
from evaluators.sandbox.supervisor import Sandbox
from problems.base import Instance
from problems.prefix_group.building import build
from problems.prefix_group.combinatorial import least_loads
from problems.prefix_group.cost import total_cost
from problems.prefix_group.instances import FAMILIES, generate
from problems.prefix_group.ladder import branch_fit, solve_exactly
from problems.prefix_group.trie import trie_of
from problems.registry import load_problem

REPEATS = 5
PROGRAMS = 6


def main() -> None:
    """Print every figure beside its target."""
    bounds()
    programs()
    evaluations()


def show(what: str, figure: str, target: str) -> None:
    """One line."""
    print(f"{what:58} {figure:30} {target}".rstrip(), flush=True)


def bounds() -> None:
    """The bound without HiGHS, and a partition to hold it against."""
    build(trie_of(generate("bench", "tree", 12, 0)), branch_fit)  # compiles
    for family in FAMILIES:
        for n in (1000, 5000):
            instance = generate("bench", family, n, 0)
            began = time.process_time()
            value = least_loads(trie_of(instance)).bound(trie_of(instance))
            bounded = time.process_time()
            cost = total_cost(instance, build(trie_of(instance), branch_fit))
            built = time.process_time() - bounded
            target = "≤ 1 s" if n == 1000 else ""
            show(f"{family}, n = {n}: combinatorial bound", f"{bounded - began:.3f} s", target)
            gap = 100 * (cost / value - 1)
            show(
                f"{family}, n = {n}: branch fit, in process", f"{built:.3f} s, {gap:.1f} % over", "≤ 1 s" * (n == 5000)
            )


def programs() -> None:
    """HiGHS on 30 requests."""
    for family in FAMILIES:
        results = [solve(generate("bench", family, 30, index)) for index in range(PROGRAMS)]
        seconds = [second for second, _ in results]
        figure = f"{statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s"
        show(
            f"{family}, n = 30: program, {sum(proved for _, proved in results)} of {PROGRAMS} proved", figure, "≤ 10 s"
        )


def solve(instance: Instance) -> tuple[float, bool]:
    """CPU seconds, and whether it was proved."""
    trie = trie_of(instance)
    result, _ = solve_exactly(instance, trie, least_loads(trie), build(trie, branch_fit))
    return result.seconds, result.kind == "optimal"


def evaluations() -> None:
    """One candidate on the train split, sealed."""
    problem = load_problem("prefix_group")
    train = problem.split("train")
    with Sandbox() as sandbox:
        for name in ("depth_first", "branch_fit", "batchllm"):
            source = find_heuristic(problem, name).source
            child, own = [], []
            for _ in range(REPEATS):
                before = time.process_time()
                child.append(evaluate(problem, source, train, sandbox, Allowance()).cpu_seconds)
                own.append(time.process_time() - before)
            both, ours = (1000 * (statistics.median(child) + x) for x in (statistics.median(own), 0.0))
            figure = f"{both:.0f} ms CPU ({both - ours:.0f} trusted)"
            show(f"{name}, {len(train)} train instances", figure, "≤ 300 ms")


if __name__ == "__main__":
    main()
