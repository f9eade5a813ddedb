"""Bounds, simulation and evaluation of batch ordering: `python -m tests.benchmarks batch_order`. CPU seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence

from engine_bridge.trace_profiles import PROFILES
from evaluators.evaluate import Allowance, evaluate
from evaluators.heuristic import find_heuristic
from evaluators.sandbox.supervisor import Sandbox
from problems.base import Array
from problems.batch_order.bounding import LADDERS
from problems.batch_order.instances import generate
from problems.batch_order.problem import BatchOrder, BatchOrdering, BatchOrderLate, BatchOrderMakespan
from problems.batch_order.trusted import trusted_asks

PROBLEMS: tuple[BatchOrdering, ...] = (BatchOrder(), BatchOrderMakespan(), BatchOrderLate())
FAMILIES = [f"{trace}-{kind}" for trace in ("conv", "code", "mooncake") for kind in ("tokens", "tight")]
REPEATS = 5


class Timed:
    """An `ask` that counts questions, and the seconds spent in the heuristic."""

    def __init__(self, problem: BatchOrdering, name: str) -> None:
        assert problem.baselines is not None
        names = sorted(path.stem for path in problem.baselines.glob("*.py"))
        self._ask = trusted_asks(problem.baselines)[names.index(name)]
        self.questions, self.seconds = 0, 0.0

    def __call__(self, function: str, arrays: Sequence[Array], *, dispatch: bool = False, records: str = "") -> Array:
        """Put the question, and take the time."""
        began = time.perf_counter()
        answer = self._ask(function, arrays, records=records)
        self.seconds += time.perf_counter() - began
        self.questions += 1
        return answer


def bounds() -> None:
    """The ladder, all rungs."""
    for problem in PROBLEMS:
        slowest, where = 0.0, ""
        for family in FAMILIES:
            instance = generate("bench", family, 1_000, 0, deadlines=problem.objective == "late")
            began = time.process_time()
            LADDERS[problem.objective](instance)
            slowest, where = max((slowest, where), (time.process_time() - began, family))
        print(f"{problem.name}: bounds without MIP, 1,000 requests: {slowest:.3f} s in the slowest of {len(FAMILIES)}"
              f" families ({where}; target ≤ 1 s)")  # fmt: skip


def simulation() -> None:
    """The whole of `decide` but the heuristic, 5,000 requests drawn from traces."""
    problem = PROBLEMS[0]
    problem.decide(generate("bench", "kv", 8, 0, deadlines=False), Timed(problem, "fcfs"))  # loads the kernels
    for family in FAMILIES:
        instance = generate("bench", family, 5_000, 0, deadlines=False)
        ask = Timed(problem, "two_areas")
        began = time.perf_counter()
        decision = problem.decide(instance, ask)
        seconds = time.perf_counter() - began - ask.seconds
        began = time.perf_counter()
        problem.check(instance, decision)
        checked = time.perf_counter() - began
        print(f"5,000 requests, {family}: {seconds:.2f} s beyond the heuristic's {ask.seconds:.2f} s in"
              f" {ask.questions} questions, check {checked:.3f} s (target ≤ 1 s)")  # fmt: skip


def evaluation() -> None:
    """One candidate on the train split, sealed: both sides' CPU time."""
    for problem in PROBLEMS:
        train = problem.split("train")
        source = find_heuristic(problem, problem.best_baseline or "fcfs").source
        with Sandbox() as sandbox:
            evaluate(problem, source, train, sandbox, Allowance())
            figures = []
            for _ in range(REPEATS):
                wall, own = time.perf_counter(), time.process_time()
                child = evaluate(problem, source, train, sandbox, Allowance()).cpu_seconds
                figures.append((time.perf_counter() - wall, time.process_time() - own, child))
        wall, own, child = (1000 * sorted(column)[REPEATS // 2] for column in zip(*figures, strict=True))
        print(f"{problem.name}: one candidate, {len(train)} train instances: {wall:.0f} ms by the clock,"
              f" {own + child:.0f} ms CPU, {child:.0f} of them the heuristic's (target ≤ 300 ms)")  # fmt: skip


def main() -> None:
    """Print every figure."""
    print(f"profiles: {', '.join(PROFILES)}; families: {', '.join(FAMILIES)}")
    bounds()
    simulation()
    evaluation()


if __name__ == "__main__":
    main()
